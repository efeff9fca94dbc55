import { readFileSync } from 'node:fs'

/** The resolution of `/proc/uptime`, in milliseconds. */
const STEP_MS = 10

/** How many steps are tried until one is seen without delay. */
const STEPS_MAX = 10
/** A step that is seen within this time was seen without delay, in milliseconds. */
const AT_ONCE_MS = 1

/** Creates a monotonic clock in milliseconds that tells the same time in every process of this machine: the process's own
 * clock plus its offset to the system's uptime.
 *
 * To be more exact than the resolution of the uptime, it waits for the uptime's next step. If the process was descheduled
 * while it waited, the offset would be wrong for ever, so that it tries again.
 *
 * @param now Monotonic milliseconds of this process.
 * @param uptime Monotonic milliseconds of the system, with a low resolution. */
export function createMachineTime(now: () => number = () => performance.now(), uptime = systemUptime): () => number {
  let [offset, missed] = [uptime() - now(), Infinity]
  for (let step = 0; step < STEPS_MAX && missed > AT_ONCE_MS; step++) {
    const seen = nextStep(now, uptime)
    if (seen.missed < missed) ({ offset, missed } = seen)
  }
  return () => now() + offset
}

/** Waits until the uptime changes, for at most two steps.
 *
 * @returns The offset, and the longest that the step can have been seen too late (`missed`, in milliseconds). */
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
