import type { Live } from '#core/attempt.ts'
import type { Bypass, Said } from '#core/bypass.ts'
import { GatewayError } from '#core/errors.ts'
import type { Frame } from '#core/frame.ts'
import { forgetCount, type RequestRecord } from '#core/record.ts'
import { abandonable, type Scope } from '#core/scope.ts'
import { createTurnQuota } from '#lib/turn.ts'
import { Payers } from './payers.ts'
import { PIECE_CHARACTERS } from './said-events.ts'
import { SharedLog, type Sharing } from './shared-log.ts'

/** Upstream work for whose answer several requests may wait. It belongs to none of them: requests subscribe to it, and
 * it ends when the last one leaves. */
export interface Flight {
  /** Subscribes; resolves when the answer is committed. Leaving (`close`, or the end of `scope`) is enough to stop the
   * work when nobody else listens.
   *
   * @param record Who pays where several listen: whoever came first of those who are still there.
   * @throws GatewayError what ended the work, or the subscriber's own scope. */
  join(scope: Scope, record?: RequestRecord | null): Promise<Live>
  /** Whether a request that joins now still gets everything from the beginning. */
  readonly open: boolean
}

interface Subscriber {
  /** How many pieces of the log this subscriber has taken. */
  taken: number
  /** Whether it waits for the next piece. */
  waits: boolean
  /** Where it takes events that need not be parsed. */
  bypass: Bypass | null
  readonly record: RequestRecord | null
}

/** Why upstream work ends when nobody listens any more. One object serves all requests: creating an error for each
 * would cost more than the rest of its end. */
export const NOBODY_LEFT = new GatewayError('client_closed_request', 'The client closed the request.')

/** Pieces that are there already and that readers take in one turn of the event loop, in the whole process. A thousand
 * readers of one long answer would otherwise write all of it before anybody else is served. */
const PIECES_A_TURN = 128
const pace = createTurnQuota(PIECES_A_TURN)

/** Starts the work at once.
 *
 * @param scope The flight's own: cancelled when the last subscriber has left, closed when the work is over.
 * @param sharing How much of the answer is kept for those who join late. */
export function startFlight(work: Promise<Live>, scope: Scope, sharing: Sharing): Flight {
  const subscribers = new Set<Subscriber>()
  const log = new SharedLog(sharing)
  work.catch(fail)
  let pulling: Promise<void> | null = null
  let over = false
  /** The source whose events bypass the frames while there is only one reader. */
  let passing: Live | null = null
  let joined = false
  let payers: Payers | null = null

  function leave(subscriber: Subscriber, cause = NOBODY_LEFT): void {
    if (!subscribers.delete(subscriber) || over) return
    if (subscribers.size === 0) charge()
    if (subscriber.record !== null) payers?.leave(subscriber.record)
    if (subscribers.size > 0) return
    over = true
    log.end(null)
    scope.cancel(cause)
    work.then(live => live.close(), ignore)
  }

  /** Charges whoever pays for everything that was generated, however much of it that request has read. */
  function charge(): void {
    const payer = payers?.payer
    if (payer) log.charge(payer)
  }

  /** Handles the failure of the work: all subscribers get the error, and nobody may join any more. */
  function fail(thrown: unknown): void {
    log.fail(thrown)
    if (over) return
    over = true
    charge()
    scope.close()
    work.then(live => live.close(), ignore)
  }

  function finish(live: Live): void {
    if (over) return
    over = true
    charge()
    log.end(live)
    scope.close()
    live.close()
  }

  /** Another server goes on, for all who listen. */
  function forgetCounts(): void {
    forgetCount(log)
    for (const { record } of subscribers) if (record !== null) forgetCount(record)
  }

  /** Takes the next batch from the source for everybody. */
  async function pull(live: Live): Promise<void> {
    try {
      const before = live.target
      const frames = await live.next()
      if (live.target !== before && frames.at(-1)?.kind !== 'error') forgetCounts()
      log.add(frames)
      if (frames.length === 0 || log.ended) finish(live)
    } catch (thrown) {
      fail(thrown)
      throw thrown
    } finally {
      pulling = null
    }
  }

  /** Takes events for the only one who reads, and keeps them for those who join. */
  function pass(said: Said): boolean {
    const [only] = subscribers
    // A reader who joined would hold a longer piece until its client has taken all of it.
    if (!only?.waits || said.written.length > PIECE_CHARACTERS || only.bypass?.(said) !== true) return false
    log.addSaid(said)
    only.taken = log.length
    return true
  }

  /** Once somebody has joined, everybody reads frames: to look for events that only one reader could take costs more. */
  function passFrames(): void {
    joined = true
    passing?.bypass?.(null)
    passing = null
  }

  /** The next piece for one of them; several who read the same take turns with everybody else. */
  function next(subscriber: Subscriber, live: Live, own: Scope): Promise<readonly Frame[]> {
    const room = joined ? pace() : null
    return room === null ? nextNow(subscriber, live, own) : room.then(() => nextNow(subscriber, live, own))
  }

  /** No promise is made but the one that is returned where the piece is there already: it mostly is where a thousand read
   * the same, and their promises are much of the memory that this takes. */
  function nextNow(subscriber: Subscriber, live: Live, own: Scope): Promise<readonly Frame[]> {
    try {
      return Promise.resolve(taken(subscriber, own) ?? wait(subscriber, live, own))
    } catch (thrown) {
      return Promise.reject(thrown)
    }
  }

  /** Takes the next piece for one of them; `null` when it is still to come.
   *
   * @throws why the subscriber's own time is over, or the work has failed. */
  function taken(subscriber: Subscriber, own: Scope): readonly Frame[] | null {
    // Somebody else pays from then on, also for what is here already.
    if (own.ended !== null) throw own.ended
    const frames = log.at(subscriber.taken)
    if (frames !== null && frames.length > 0) subscriber.taken++
    return frames
  }

  /** Waits for the next piece. The work does not end with a subscriber who leaves, so that each has to stop waiting by itself
   * when its own time is over. */
  async function wait(subscriber: Subscriber, live: Live, own: Scope): Promise<readonly Frame[]> {
    while (true) {
      pulling ??= pull(live)
      subscriber.waits = true
      try {
        await (own.endsAt === Infinity ? pulling : abandonable(pulling, own))
      } catch (thrown) {
        throw own.ended ?? thrown
      } finally {
        subscriber.waits = false
      }
      const frames = taken(subscriber, own)
      if (frames !== null) return frames
    }
  }

  return {
    get open() {
      return log.open
    },
    async join(own, record = null) {
      const subscriber: Subscriber = { taken: 0, waits: false, bypass: null, record }
      if (record !== null) {
        if (payers === null) payers = new Payers(record)
        else payers.join(record)
      }
      if (subscribers.size > 0) passFrames()
      subscribers.add(subscriber)
      const stop = own.onEnd(cause => leave(subscriber, cause))
      const close = () => {
        stop()
        leave(subscriber)
      }
      try {
        const live = await abandonable(work, own)
        const { target, model } = live
        const encoded = subscribers.size === 1 ? undefined : log.encoded
        const bypass = (to: Bypass) => {
          subscriber.bypass = to
          if (joined || passing !== null) return
          passing = live
          live.bypass?.(pass)
        }
        return { target, model, next: () => next(subscriber, live, own), bypass, close, encoded }
      } catch (thrown) {
        close()
        throw own.ended ?? thrown
      }
    },
  }
}

function ignore(): void {}
