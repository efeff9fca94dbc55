import type { Live } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import type { Frame } from '#core/frame.ts'
import type { Scope } from '#core/scope.ts'

/** The upstream work of one call. It belongs to nobody: requests subscribe to it, and it ends with the last of them. */
export interface Flight {
  /** Subscribes; resolves when the answer is committed. Leaving (`close`, or the end of `scope`) is enough to stop the
   * work when nobody else listens.
   *
   * @throws GatewayError what ended the work, or the subscriber's own scope. */
  join(scope: Scope): Promise<Live>
}

interface Subscriber {
  /** Batches of the log that this subscriber has taken. */
  taken: number
}

/** Starts the work at once.
 *
 * @param scope The flight's own: cancelled when the last subscriber has left, closed when the work is over. */
export function startFlight(work: (scope: Scope) => Promise<Live>, scope: Scope): Flight {
  const subscribers = new Set<Subscriber>()
  const source = work(scope)
  // A flight whose subscribers have all left may still fail; nobody is there to hear it.
  source.catch(() => {})
  const log: (readonly Frame[])[] = []
  let trimmed = 0
  let pulling: Promise<void> | null = null

  function leave(subscriber: Subscriber): void {
    if (!subscribers.delete(subscriber) || subscribers.size > 0) return
    scope.cancel(new GatewayError('client_closed_request', 'The client closed the request.'))
    source.then(live => live.close()).catch(() => {})
  }

  async function pull(live: Live): Promise<void> {
    const frames = await live.next()
    log.push(frames)
    if (frames.length === 0) {
      scope.close()
      live.close()
    }
  }

  async function next(subscriber: Subscriber, live: Live): Promise<readonly Frame[]> {
    while (subscriber.taken - trimmed >= log.length) {
      pulling ??= pull(live).finally(() => {
        pulling = null
      })
      await pulling
    }
    const frames = log[subscriber.taken - trimmed] ?? []
    if (frames.length === 0) return frames
    subscriber.taken++
    trim()
    return frames
  }

  /** Forgets what every subscriber has taken. */
  function trim(): void {
    let least = Infinity
    for (const subscriber of subscribers) least = Math.min(least, subscriber.taken)
    while (trimmed < least && log.length > 0) {
      log.shift()
      trimmed++
    }
  }

  return {
    async join(own) {
      const subscriber: Subscriber = { taken: trimmed }
      subscribers.add(subscriber)
      const stop = own.onEnd(() => leave(subscriber))
      try {
        const live = await abandonable(source, own)
        return {
          target: live.target,
          model: live.model,
          next: () => abandonable(next(subscriber, live), own),
          close() {
            stop()
            leave(subscriber)
          },
        }
      } catch (thrown) {
        stop()
        leave(subscriber)
        throw thrown
      }
    },
  }
}

/** Waits for the work, but no longer than the subscriber's own scope lives. */
function abandonable<T>(work: Promise<T>, scope: Scope): Promise<T> {
  if (scope.ended !== null) return Promise.reject(scope.ended)
  return new Promise((resolve, reject) => {
    const stop = scope.onEnd(reject)
    work.then(
      value => {
        stop()
        resolve(value)
      },
      error => {
        stop()
        reject(error)
      },
    )
  })
}
