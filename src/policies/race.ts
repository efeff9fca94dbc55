import type { Live } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'

/** The call that a race is run for. */
export interface Course<Trial> {
  /** Makes an attempt; resolves when its answer is committed. */
  run(trial: Trial): Promise<Live>
  /** A second attempt beside the first one, where there may be one. */
  second(first: Trial): Trial | null
  /** An attempt has failed.
   *
   * @throws GatewayError when nothing may follow, not even the other attempt. */
  failed(trial: Trial, thrown: unknown): void
  /** An attempt that is under way is not wanted any more. */
  lost(trial: Trial): void
}

/** The attempt that was first, and its answer. */
export interface Winner<Trial> {
  readonly trial: Trial
  readonly live: Live
}

/** Makes an attempt, and after a while a second one beside it: the first to commit is the answer, the other one is
 * stopped in the same turn. A first attempt that fails before its time has no second one.
 *
 * @returns `null` when every attempt has failed and others may follow.
 * @throws GatewayError what `failed` throws. */
export function race<Trial>(
  first: Trial,
  after: { readonly clock: Clock; readonly ms: number },
  course: Course<Trial>,
): Promise<Winner<Trial> | null> {
  const { promise, resolve, reject } = Promise.withResolvers<Winner<Trial> | null>()
  const running = new Set<Trial>()
  let over = false
  let disarm: (() => void) | null = null

  function end(): void {
    over = true
    disarm?.()
    for (const trial of running) course.lost(trial)
  }

  function committed(trial: Trial, live: Live): void {
    if (over) {
      // It was stopped, but may have been there already.
      live.close()
      return
    }
    running.delete(trial)
    end()
    resolve({ trial, live })
  }

  function failed(trial: Trial, thrown: unknown): void {
    if (over) return
    running.delete(trial)
    course.failed(trial, thrown)
    if (running.size > 0) return
    end()
    resolve(null)
  }

  function enter(trial: Trial): void {
    running.add(trial)
    course
      .run(trial)
      .then(
        live => committed(trial, live),
        thrown => failed(trial, thrown),
      )
      .catch(thrown => {
        end()
        reject(thrown)
      })
  }

  function enterSecond(): void {
    const second = course.second(first)
    if (second !== null) enter(second)
  }

  enter(first)
  if (after.ms === 0) enterSecond()
  else disarm = after.clock.after(after.ms, enterSecond)
  return promise
}
