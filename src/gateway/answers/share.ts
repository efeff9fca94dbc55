import type { Live } from '#core/attempt.ts'
import type { CacheNote, CacheSettings, CacheWishes } from '#core/cache.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { type Code, GatewayError } from '#core/errors.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Scope } from '#core/scope.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { PassingMap } from '#lib/passing.ts'
import type { Departure } from '../departure.ts'
import type { Flight } from '../flights/flight.ts'
import { SharedAnswer } from '../flights/shared-answer.ts'
import type { Whole } from '../flights/shared-log.ts'
import { convert } from './convert.ts'

/** The longest answer that is stored, or kept for callers who join late, in characters. */
const SHARED_CHARACTERS_MAX = 4 * 1024 * 1024

/** A call for which there may be an answer already. */
export interface Asked {
  readonly call: Call
  /** The body as it was received. */
  readonly text: string
  readonly record: RequestRecord
  /** The scope of the request. */
  readonly scope: Scope
  readonly snapshot: Snapshot
  readonly settings: CacheSettings
  readonly cache: CacheWishes
  readonly wishes: {
    readonly server: string | null
    readonly strategy: string | null
    readonly maxAttempts: number | null
  }
}

/** Prepares the work for a call. */
export type Depart = (call: Call) => Pick<Departure, 'alone' | 'flight' | 'sharedAnswer' | 'finished'>

/** The running work, by the question that it answers. */
export interface Flights {
  /** Joins the flight of an equal call, or starts one.
   *
   * @param onWhole Called with the complete answer by the flight that was started. */
  take(asked: Asked, key: string, depart: Depart, onWhole: (whole: Whole) => void): Promise<Live>
  /** Prevents new callers from joining the work that is running now. */
  clear(): void
}

/** Work that others may join: a stream, or a plain answer. */
interface Leader {
  readonly asked: Pick<Asked, 'call' | 'record'>
  readonly work: Pick<Flight, 'open' | 'join'>
}

const MISS: CacheNote = { status: 'miss', ageMs: 0, leftMs: 0 }
const BYPASS: CacheNote = { status: 'bypass', ageMs: 0, leftMs: 0 }
const COALESCED: CacheNote = { status: 'coalesced', ageMs: 0, leftMs: 0 }

/** Creates the register of flights that others may join. The priority and the limit of attempts are part of the key, so
 * callers who join wait under the same conditions as the first one. */
export function createFlights(clock: Pick<Clock, 'now'>): Flights {
  let shared = new PassingMap<Leader>()

  const flights: Flights = {
    take(asked, key, depart, onWhole) {
      const { call, record, settings, cache, scope, wishes } = asked
      // The caller left while a store was asked, or while it waited for another answer: no server is asked.
      if (scope.ended !== null) return Promise.reject(scope.ended)
      const usual = call.priority === 'normal' && wishes.maxAttempts === null
      const name = usual ? key : `${key} ${call.priority} ${wishes.maxAttempts ?? ''}`
      const shares = settings.coalesce && cache.share && cache.read
      const leader = shares ? shared.get(name) : null
      if (leader?.work.open) {
        record.cache = COALESCED
        // If no server answers, nothing else records the model.
        record.model = leader.asked.record.model
        return leader.work.join(scope, record).then(
          live => {
            record.sparedPrice = live.target.price
            return convert(live, leader.asked.call, call)
          },
          thrown => {
            if (!isRefusalOf(leader.asked, asked, thrown)) throw thrown
            record.heirOf = null
            return flights.take(asked, key, depart, onWhole)
          },
        )
      }
      record.cache = cache.read ? MISS : BYPASS
      const onOver = (whole: Whole | null) => {
        if (shares && shared.get(name)?.work === work) shared.delete(name)
        departure.finished()
        if (whole !== null && cache.store) onWhole(whole)
      }
      const departure = depart(call)
      const now = settings.keepPace ? clock.now : undefined
      const work = call.stream
        ? departure.flight({ charactersMax: SHARED_CHARACTERS_MAX, now, onOver })
        : departure.sharedAnswer(scope, onOver)
      if (shares) shared.set(name, { work, asked })
      return work instanceof SharedAnswer ? work.lead() : work.join(scope, record)
    },
    clear() {
      shared = new PassingMap()
    },
  }
  return flights
}

/** Refusals that concern the limits or the budget of one caller, end user or address. */
const REFUSALS: ReadonlySet<Code> = new Set([
  'rate_limit_exceeded',
  'token_limit_exceeded',
  'concurrency_limit_exceeded',
  'budget_exceeded',
])

/** Whether the first caller got a refusal that does not concern this call. */
function isRefusalOf(leader: Leader['asked'], { call, record }: Leader['asked'], thrown: unknown): boolean {
  if (!(thrown instanceof GatewayError && REFUSALS.has(thrown.code))) return false
  const isSameCaller = leader.call.caller.id === call.caller.id && leader.record.address === record.address
  return !isSameCaller || leader.record.user !== record.user
}
