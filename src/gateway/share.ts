import type { Live } from '#core/attempt.ts'
import type { CacheSettings, CacheWishes } from '#core/cache.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Scope } from '#core/scope.ts'
import type { Snapshot } from '#core/servers.ts'
import { convert } from './convert.ts'
import type { Flight } from './flight.ts'
import type { Sharing, Whole } from './shared-log.ts'

/** The longest answer that is stored, or given to those who join late, in characters. */
const SHARED_CHARACTERS_MAX = 4 * 1024 * 1024

/** A call for which there may be an answer already. */
export interface Asked {
  readonly call: Call
  /** The body as it came. */
  readonly text: string
  readonly record: RequestRecord
  /** The request's own. */
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

/** Starts the work for a call. */
export type Depart = (call: Call, sharing: Sharing | null) => Flight

/** The work that is under way, by what it answers. */
export interface Flights {
  /** Joins the flight that answers the same call, or starts one.
   *
   * @param onWhole Told of the answer when it is whole, by the flight that was started. */
  take(asked: Asked, key: string, depart: Depart, onWhole: (whole: Whole) => void): Promise<Live>
}

/** Creates the register of flights that others may join. Who joins waits as its leader does: the same priority and the
 * same bound of attempts are a part of what is the same. */
export function createFlights(clock: Pick<Clock, 'now'>): Flights {
  const shared = new Map<string, { readonly flight: Flight; readonly call: Call }>()

  return {
    take(asked, key, depart, onWhole) {
      const { call, record, settings, cache, scope } = asked
      const name = `${key} ${call.priority} ${asked.wishes.maxAttempts ?? ''}`
      const shares = settings.coalesce && cache.share && cache.read
      const leader = shares ? shared.get(name) : undefined
      if (leader?.flight.open) {
        record.cache = { status: 'coalesced', ageMs: 0, leftMs: 0 }
        return leader.flight.join(scope).then(live => convert(live, leader.call, call))
      }
      record.cache = { status: cache.read ? 'miss' : 'bypass', ageMs: 0, leftMs: 0 }
      const flight: Flight = depart(call, {
        charactersMax: SHARED_CHARACTERS_MAX,
        now: settings.keepPace && call.stream ? clock.now : undefined,
        onOver(whole) {
          if (shared.get(name)?.flight === flight) shared.delete(name)
          if (whole !== null && cache.store) onWhole(whole)
        },
      })
      if (shares) shared.set(name, { flight, call })
      return flight.join(scope)
    },
  }
}
