import type { Live } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'

/** The call for which a race is run. */
export interface Course<Attempt> {
  /** Makes an attempt; resolves when its answer is committed. */
  run(attempt: Attempt): Promise<Live>
  /** Starts a second attempt beside the first one; `null` when there may be none. */
  startSecond(first: Attempt): Attempt | null
  /** An attempt has failed.
   *
   * @throws GatewayError when nothing may follow, not even the other attempt. */
  failed(attempt: Attempt, thrown: unknown): void
  /** Called when an attempt that is still running is not needed any more. */
  lost(attempt: Attempt): void
}

/** The attempt that committed first, and its answer. */
export interface Winner<Attempt> {
  readonly attempt: Attempt
  readonly live: Live
}

/** Makes an attempt and, after a while, a second one beside it. The first to commit gives the answer, and the other one
 * is stopped in the same turn of the event loop. If the first attempt fails before that time, there is no second one.
 *
 * @returns `null` when every attempt has failed and others may follow.
 * @throws GatewayError what `failed` throws. */
export function race<Attempt>(
  first: Attempt,
  after: { readonly clock: Clock; readonly ms: number },
  course: Course<Attempt>,
): Promise<Winner<Attempt> | null> {
  const { promise, resolve, reject } = Promise.withResolvers<Winner<Attempt> | null>()
  const running = new Set<Attempt>()
  let over = false
  let disarm: (() => void) | null = null

  function end(): void {
    over = true
    disarm?.()
    for (const attempt of running) course.lost(attempt)
  }

  function committed(attempt: Attempt, live: Live): void {
    if (over) {
      // It was stopped, but had already committed in the same turn.
      live.close()
      return
    }
    running.delete(attempt)
    end()
    resolve({ attempt, live })
  }

  function failed(attempt: Attempt, thrown: unknown): void {
    if (over) return
    running.delete(attempt)
    course.failed(attempt, thrown)
    if (running.size > 0) return
    end()
    resolve(null)
  }

  function enter(attempt: Attempt): void {
    running.add(attempt)
    course
      .run(attempt)
      .then(
        live => committed(attempt, live),
        thrown => failed(attempt, thrown),
      )
      .catch(thrown => {
        end()
        reject(thrown)
      })
  }

  function enterSecond(): void {
    const second = course.startSecond(first)
    if (second !== null) enter(second)
  }

  enter(first)
  if (after.ms === 0) enterSecond()
  else disarm = after.clock.after(after.ms, enterSecond)
  return promise
}
