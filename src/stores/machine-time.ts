import { readFileSync } from 'node:fs'

/** The system tells its own time in steps of this many milliseconds. */
const STEP_MS = 10

/** Creates a monotonic clock that tells the same time in every process of this machine, in milliseconds: each counts from
 * its own start, and the system says when that was. It waits, for one step at most, until the system's time changes. */
export function createMachineTime(): () => number {
  const before = uptime()
  const deadline = performance.now() + 2 * STEP_MS
  let now = before
  while (now === before && performance.now() < deadline) now = uptime()
  const offset = now - performance.now()
  return () => performance.now() + offset
}

function uptime(): number {
  return Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 1000
}
