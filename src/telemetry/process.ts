import { readdirSync } from 'node:fs'
import { createGauge, type Metric } from './series.ts'

const MICROSECONDS = 1e6

/** Creates the gauges of this process, only those that say the truth on this runtime: the usual handle and garbage
 * collection figures are empty here, and a count of the heap's objects blocks the loop for tens of milliseconds.
 *
 * @param lagSeconds How late the event loop was when it was last measured. */
export function createProcessGauges(lagSeconds: () => number): readonly Metric[] {
  const startedAt = Date.now() / 1000 - process.uptime()
  return [
    createGauge('process_resident_memory_bytes', 'Resident memory in bytes.', () => process.memoryUsage.rss()),
    createGauge('process_heap_bytes', 'Heap in use, in bytes.', () => process.memoryUsage().heapUsed),
    createGauge('process_cpu_seconds_total', 'CPU time spent, user and system, in seconds.', cpuSeconds, 'counter'),
    createGauge('process_start_time_seconds', 'Start of the process since the epoch, in seconds.', () => startedAt),
    createGauge('process_open_fds', 'Open file descriptors.', openFiles),
    createGauge('process_event_loop_lag_seconds', 'How late the event loop turned, in seconds.', lagSeconds),
  ]
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / MICROSECONDS
}

/** Only Linux tells; elsewhere the gauge has no value. */
function openFiles(): number | readonly never[] {
  try {
    // Reading the directory opens one more.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return []
  }
}
