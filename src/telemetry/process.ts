import { readdirSync } from 'node:fs'
import { heapBytes, residentBytes } from './memory.ts'
import { createGauge, type Metric } from './series.ts'

const MICROSECONDS = 1e6

/** Where the gauges of the process read values that it cannot ask the runtime for. */
export interface ProcessSources {
  /** How late the event loop turned, 99th percentile of the last seconds, in milliseconds. */
  readonly lagMs: () => number
  /** The memory that the process may use, in bytes. */
  readonly memoryLimit: () => number
}

/** Creates the gauges of this process. The usual ones for handles and garbage collection are left out because Bun does
 * not report them, and heap object counts because reading them blocks the event loop for tens of milliseconds. */
export function createProcessGauges({ lagMs, memoryLimit }: ProcessSources): readonly Metric[] {
  const startedAt = Date.now() / 1000 - process.uptime()
  return [
    createGauge('process_resident_memory_bytes', 'Resident memory in bytes.', residentBytes),
    createGauge('process_heap_bytes', 'Heap in use, in bytes.', heapBytes),
    createGauge('process_cpu_seconds_total', 'CPU time spent, user and system, in seconds.', cpuSeconds, 'counter'),
    createGauge('process_start_time_seconds', 'Start of the process since the epoch, in seconds.', () => startedAt),
    createGauge('process_open_fds', 'Open file descriptors.', openFiles),
    createGauge(
      'process_event_loop_lag_seconds',
      'How late the event loop turned, 99th percentile of the last ten seconds.',
      () => lagMs() / 1000,
    ),
    createGauge('gateway_memory_limit_bytes', 'What the process may use, in bytes.', memoryLimit),
  ]
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / MICROSECONDS
}

/** Open file descriptors. Only Linux reports them; elsewhere the gauge has no value. */
function openFiles(): number | readonly never[] {
  try {
    // Reading the directory opens one more.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return []
  }
}
