import { CitadelError } from './errors.ts'

/** How long a call may live: until the caller leaves, or until its clock runs out. */
export interface Lifetime {
  /** Its reason is always a `CitadelError`: `aborted` or `client_timeout`. */
  readonly signal: AbortSignal
  /** When the clock runs out, in milliseconds of `Date.now()`. */
  endsAt(): number
  /** Winds the clock up anew. */
  restart(ms: number, what: string): void
  /** Stops the clock: time that the application takes is not ours. */
  pause(): void
  abort(cause?: unknown): void
  /** Lets go of the clock and of the caller's signal. */
  end(): void
}

/** Begins the life of a call. */
export function beginLifetime(outer: AbortSignal | undefined, ms: number): Lifetime {
  const controller = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  let endsAt = 0
  const abort = (cause?: unknown) =>
    controller.abort(new CitadelError('aborted', 'The call was aborted by its caller.', { cause }))
  const leave = () => abort(outer?.reason)
  const restart = (left: number, what: string) => {
    clearTimeout(timer)
    endsAt = Date.now() + left
    // Timers that are to wait for longer fire at once.
    if (left >= 2 ** 31) return
    timer = setTimeout(() => {
      controller.abort(new CitadelError('client_timeout', `${what} within ${left} ms.`))
    }, left)
  }
  restart(ms, 'No whole answer')
  if (outer?.aborted) leave()
  else outer?.addEventListener('abort', leave, { once: true })
  return {
    signal: controller.signal,
    endsAt: () => endsAt,
    restart,
    pause: () => clearTimeout(timer),
    abort,
    end() {
      clearTimeout(timer)
      outer?.removeEventListener('abort', leave)
    },
  }
}

/** Waits, unless the life ends before.
 *
 * @throws CitadelError when it does. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end)
      resolve()
    }, ms)
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
}
