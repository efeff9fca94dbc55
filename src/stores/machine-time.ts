import { readFileSync } from 'node:fs'

/** The system tells its own time in steps of this many milliseconds. */
const STEP_MS = 10

/** Steps that are waited for until one was seen at once. */
const STEPS_MAX = 10
/** What is seen within this many milliseconds was seen at once. */
const AT_ONCE_MS = 1

/** Creates a monotonic clock that tells the same time in every process of this machine, in milliseconds: each counts from
 * its own start, and the system says when that was. It waits for a step of the system's time, and for another one when
 * this process was kept waiting between the two looks: what it missed it would be behind for ever.
 *
 * @param now Monotonic milliseconds of this process.
 * @param uptime Those of the system, in steps. */
export function createMachineTime(now: () => number = () => performance.now(), uptime = systemUptime): () => number {
  let [offset, missed] = [uptime() - now(), Infinity]
  for (let step = 0; step < STEPS_MAX && missed > AT_ONCE_MS; step++) {
    const seen = nextStep(now, uptime)
    if (seen.missed < missed) ({ offset, missed } = seen)
  }
  return () => now() + offset
}

/** Waits until the system's time changes, and not for longer than two steps. It changed between the last look and this
 * one, wherever this process was stopped in either of them: what a look tells may be old when it is told. */
function nextStep(now: () => number, uptime: () => number): { readonly offset: number; readonly missed: number } {
  const begun = now()
  const before = uptime()
  for (let last = begun; ; ) {
    const asked = now()
    const told = uptime()
    const answered = now()
    if (told !== before) return { offset: told - answered, missed: answered - last }
    if (answered - begun > 2 * STEP_MS) return { offset: told - answered, missed: Infinity }
    last = asked
  }
}

function systemUptime(): number {
  return Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 1000
}
