import type { Live } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import type { Frame } from '#core/frame.ts'
import { forgetCount, type RequestRecord } from '#core/record.ts'
import { abandonable, type Scope } from '#core/scope.ts'
import { Payers } from './payers.ts'
import { SharedLog, type Sharing } from './shared-log.ts'

/** The upstream work of one call that others may join. It belongs to nobody: requests subscribe to it, and it ends with
 * the last of them. */
export interface Flight {
  /** Subscribes; resolves when the answer is committed. Leaving (`close`, or the end of `scope`) is enough to stop the
   * work when nobody else listens.
   *
   * @param record Who pays where several listen: whoever came first of those who are still there.
   * @throws GatewayError what ended the work, or the subscriber's own scope. */
  join(scope: Scope, record?: RequestRecord | null): Promise<Live>
  /** Whether who joins now still gets everything from the beginning. */
  readonly open: boolean
}

interface Subscriber {
  /** Batches of the log that this subscriber has taken. */
  taken: number
  readonly record: RequestRecord | null
}

/** Why upstream work ends when nobody listens any more; shared, because an error of its own for each request that is
 * over would cost more than the rest of its end. */
export const NOBODY_LEFT = new GatewayError('client_closed_request', 'The client closed the request.')

/** Starts the work at once.
 *
 * @param scope The flight's own: cancelled when the last subscriber has left, closed when the work is over.
 * @param sharing How others may join. */
export function startFlight(work: (scope: Scope) => Promise<Live>, scope: Scope, sharing: Sharing): Flight {
  const subscribers = new Set<Subscriber>()
  const shared = new SharedLog(sharing)
  const source = work(scope)
  // A flight whose subscribers have all left may still fail; nobody is there to hear it.
  source.catch(fail)
  let pulling: Promise<void> | null = null
  let over = false
  let payers: Payers | null = null

  function leave(subscriber: Subscriber, cause = NOBODY_LEFT): void {
    if (!subscribers.delete(subscriber) || over) return
    if (subscribers.size === 0) charge()
    if (subscriber.record !== null) payers?.leave(subscriber.record)
    if (subscribers.size > 0) return
    over = true
    shared.end(null)
    scope.cancel(cause)
    source.then(live => live.close(), ignore)
  }

  /** Whoever pays pays for all that was said, however much of it he has read. */
  function charge(): void {
    const payer = payers?.payer
    if (payer) shared.charge(payer)
  }

  /** The work failed: all who listen hear of it, and nobody joins any more. */
  function fail(thrown: unknown): void {
    shared.fail(thrown)
    if (over) return
    over = true
    charge()
    scope.close()
    source.then(live => live.close(), ignore)
  }

  function finish(live: Live): void {
    if (over) return
    over = true
    charge()
    shared.end(live)
    scope.close()
    live.close()
  }

  /** Another server goes on, for all who listen. */
  function forgetCounts(): void {
    forgetCount(shared)
    for (const { record } of subscribers) if (record !== null) forgetCount(record)
  }

  /** Takes the next batch from the source for everybody. */
  async function pull(live: Live): Promise<void> {
    try {
      const from = live.target
      const frames = await live.next()
      if (live.target !== from && frames.at(-1)?.kind !== 'error') forgetCounts()
      shared.add(frames)
      if (frames.length === 0 || shared.ended) finish(live)
    } catch (thrown) {
      fail(thrown)
      throw thrown
    } finally {
      pulling = null
    }
  }

  /** The work does not end with one who leaves, so nobody waits for it longer than he may. */
  async function next(subscriber: Subscriber, live: Live, own: Scope): Promise<readonly Frame[]> {
    while (true) {
      // Others pay from then on, also for what is here already.
      if (own.ended !== null) throw own.ended
      const frames = shared.at(subscriber.taken)
      if (frames !== null) {
        if (frames.length > 0) subscriber.taken++
        return frames
      }
      pulling ??= pull(live)
      try {
        await (own.endsAt === Infinity ? pulling : abandonable(pulling, own))
      } catch (thrown) {
        throw own.ended ?? thrown
      }
    }
  }

  return {
    get open() {
      return shared.open
    },
    async join(own, record = null) {
      const subscriber: Subscriber = { taken: 0, record }
      if (record !== null) {
        if (payers === null) payers = new Payers(record)
        else payers.join(record)
      }
      subscribers.add(subscriber)
      const stop = own.onEnd(cause => leave(subscriber, cause))
      const close = () => {
        stop()
        leave(subscriber)
      }
      try {
        const live = await abandonable(source, own)
        const { target, model } = live
        const encoded = subscribers.size === 1 ? undefined : shared.encoded
        return { target, model, next: () => next(subscriber, live, own), close, encoded }
      } catch (thrown) {
        close()
        throw own.ended ?? thrown
      }
    },
  }
}

function ignore(): void {}
