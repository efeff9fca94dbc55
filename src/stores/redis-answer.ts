import type { Clock } from '#core/clock.ts'

/** The error where there is no answer in time. */
export class TimedOut extends Error {}

interface Answer<T> {
  readonly answer: T
  /** Whether it took more than half of the allowed time. */
  readonly slow: boolean
}

/** Waits for an answer. When the time is over, sockets are read once more before the call fails: the answer may have
 * arrived in time while this process was busy.
 *
 * @throws TimedOut when there is none after `ms`. */
export function answerOf<T>(work: Promise<T>, clock: Clock, ms: number): Promise<Answer<T>> {
  return new Promise((resolve, reject) => {
    let slow = false
    let over = false
    let disarm = () => {}
    const runIn = (waitMs: number, run: () => void) => {
      disarm = clock.after(waitMs, () => afterReading(run))
    }
    runIn(ms / 2, () => {
      slow = true
      if (!over) runIn(ms / 2, () => reject(new TimedOut(`no answer within ${ms} ms`)))
    })
    const settle = (run: () => void) => {
      over = true
      disarm()
      run()
    }
    work.then(
      answer => settle(() => resolve({ answer, slow })),
      thrown => settle(() => reject(thrown)),
    )
  })
}

/** Runs after every socket was read once more. */
function afterReading(run: () => void): void {
  setImmediate(() => setImmediate(run))
}
