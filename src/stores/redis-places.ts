import type { Clock } from '#core/clock.ts'
import { isBounded, type Places } from '#core/places.ts'
import type { Target } from '#core/servers.ts'
import type { Redis } from './redis.ts'
import { redisScript } from './redis-script.ts'

export interface RedisPlacesOptions {
  readonly redis: Pick<Redis, 'use' | 'available'>
  readonly clock: Clock
  /** Unique over all processes that ever use this Redis. */
  readonly processId: string
  /** The least number of processes that share the places, for when Redis is away. */
  readonly processes: () => number
  /** Told how many places this process has got. */
  readonly onGranted: (count: number) => void
}

/** What every key begins with; the tag keeps them on one node of a cluster. */
const PREFIX = '{citadel}:places:'
/** How long the places of a process that says nothing more are its own, in milliseconds. */
const LEASE_MS = 30_000
/** How often the others are heard: while this process has places, and while it has none. */
const HEAR_MS = 250
const RENEW_MS = 10_000
/** How soon a process asks again that did not get what it lacks: one without any place, and one whose own calls give
 * places back to it. */
const LACK_MS = 20
const LACK_MORE_MS = 2 * LACK_MS
/** Places are kept for the next calls, as many as were in use at once in this stretch of time and the one before. */
const KEEP_MS = 10_000
/** How long a process that lacked a place is heard: its calls may go elsewhere rather than wait. */
const HEARD_MS = 2 * HEAR_MS
/** How long a call that may not wait waits to hear of a place. */
const ANSWER_MS = HEARD_MS

/** The places of this process at one target. */
interface Holding {
  target: Target
  used: number
  /** How many it may use; what is above `used` is at hand for the next calls. */
  leased: number
  /** Calls that found none since Redis was asked. */
  lacking: number
  /** When this stretch began, and the most that were in use at once in it and in the one before. */
  since: number
  most: number
  mostBefore: number
}

interface Asked {
  readonly holding: Holding
  readonly wanted: number
}

const placesScript = redisScript('places', 'now')

/** Creates the places over all processes on one Redis. Each leases what it uses, and keeps it at hand for its next calls
 * as long as nobody else waits, so that a call asks nobody; while Redis is away each has its share. */
export function createRedisPlaces(options: RedisPlacesOptions): Places & { close(): Promise<void> } {
  const { redis, clock, processId, processes, onGranted } = options
  const holdings = new Map<string, Holding>()
  let others = { processes: 1, waiting: 0 }
  let own = 0
  let told = 0
  let inUse = 0
  let asking = false
  let refusedAt = -Infinity
  let lackedAt = -Infinity
  /** Redis was away and may have forgotten all, or was never told what was taken meanwhile: the others have to say what
   * they use before anybody wants more. */
  let wasAway = false
  let again: { readonly at: number; readonly disarm: () => void } | null = null
  let closed = false

  function holdingOf(target: Target): Holding {
    let holding = holdings.get(target.id)
    if (holding === undefined) {
      holding = { target, used: 0, leased: 0, lacking: 0, since: clock.now(), most: 0, mostBefore: 0 }
      holdings.set(target.id, holding)
    }
    holding.target = target
    return holding
  }

  function hasPlace(holding: Holding): boolean {
    if (redis.available()) return holding.used < holding.leased
    const { target } = holding
    const count = Math.max(others.processes, processes())
    const share = (max: number) => (max === 0 ? Infinity : Math.max(1, Math.floor(max / count)))
    return holding.used < share(target.maxConcurrent) && usedAt(target.server.id) < share(target.server.maxConcurrent)
  }

  function usedAt(server: string): number {
    let used = 0
    for (const holding of holdings.values()) if (holding.target.server.id === server) used += holding.used
    return used
  }

  /** Asks in so many milliseconds, if nobody does before. */
  function askIn(ms: number): void {
    if (asking || closed) return
    const at = clock.now() + ms
    if (again !== null && again.at <= at) return
    again?.disarm()
    again = { at, disarm: ms > 0 ? clock.after(ms, ask) : atEndOfTurn(ask) }
  }

  function lack(holding: Holding, count: number): void {
    holding.lacking = count
    askIn(Math.max(0, wantsAt() - clock.now()))
  }

  /** When more may be wanted again than was refused. */
  const wantsAt = () => refusedAt + (inUse > 0 ? LACK_MORE_MS : LACK_MS)

  /** How many places this process wants at a target: those that calls need, and what is at hand where nobody lacks it. */
  function wantedOf(holding: Holding, lacking: number, short: ReadonlySet<string>): number {
    const now = clock.now()
    if (now - holding.since >= KEEP_MS) {
      holding.mostBefore = holding.most
      holding.most = holding.used
      holding.since = now
    }
    const { target, used, leased, most, mostBefore } = holding
    const keeps = others.waiting === 0 && !short.has(target.server.id)
    return Math.max(used + lacking, keeps ? Math.min(leased, Math.max(most, mostBefore)) : 0)
  }

  /** How many calls the others are told to wait here. */
  const waitingHere = () => Math.max(own, clock.now() - lackedAt < HEARD_MS ? 1 : 0)

  async function ask(): Promise<void> {
    again?.disarm()
    again = null
    asking = true
    const tells = wasAway
    wasAway = false
    const short = new Set<string>()
    const mayWant = clock.now() >= wantsAt()
    for (const { lacking, target } of holdings.values()) if (mayWant && lacking > 0) short.add(target.server.id)
    const asked: Asked[] = []
    const values: (string | number)[] = ['', LEASE_MS, processId, waitingHere()]
    for (const holding of holdings.values()) {
      const { target, used } = holding
      const { server, id, maxConcurrent } = target
      const wanted = tells ? used : wantedOf(holding, mayWant ? holding.lacking : 0, short)
      asked.push({ holding, wanted })
      values.push(id, maxConcurrent, server.id, server.maxConcurrent, used, wanted)
      // What is given up to others is not taken back before they have asked.
      if (mayWant && others.waiting > 0 && holding.leased > wanted) refusedAt = clock.now()
      // What is given back is nobody's meanwhile.
      holding.leased = Math.min(holding.leased, wanted)
      if (mayWant) holding.lacking = 0
    }
    told = waitingHere()
    try {
      const answer = await redis.use(client => placesScript(client, PREFIX, values))
      asking = false
      follow(asked, answer)
      if (tells) refusedAt = clock.now() + HEAR_MS
    } catch {
      // Each process has its share. What was leased may be somebody else's when Redis is back.
      asking = false
      wasAway = true
      refusedAt = clock.now()
      others = { ...others, waiting: 0 }
      for (const holding of holdings.values()) holding.leased = 0
    }
    for (const holding of holdings.values()) if (holding.lacking > 0) lack(holding, holding.lacking)
    askIn(isToldWrong() ? LACK_MS : holdings.size > 0 || told > 0 ? HEAR_MS : RENEW_MS)
  }

  /** Whether the others think that calls wait here, and none does; or the other way round. */
  const isToldWrong = () => waitingHere() > 0 !== told > 0

  function follow(asked: readonly Asked[], answer: unknown): void {
    const [living = 1, waiting = 0, ...leased] = Array.isArray(answer) ? answer.map(Number) : []
    others = { processes: living, waiting }
    let granted = 0
    for (const [index, { holding, wanted }] of asked.entries()) {
      const has = leased[index] ?? 0
      if (has < wanted) {
        refusedAt = clock.now()
        lackedAt = refusedAt
      }
      granted += Math.max(0, has - Math.max(holding.leased, holding.used))
      holding.leased = has
      if (waiting > 0 && has > holding.used) askIn(0)
      if (has === 0 && holding.used === 0 && holding.lacking === 0) holdings.delete(holding.target.id)
    }
    if (granted > 0) onGranted(granted)
  }

  return {
    answersIn: ANSWER_MS,
    has(target) {
      if (!isBounded(target)) return true
      const holding = holdingOf(target)
      if (hasPlace(holding)) return true
      lack(holding, Math.max(1, holding.lacking))
      return false
    },
    take(target) {
      const holding = holdingOf(target)
      if (!hasPlace(holding)) {
        lack(holding, holding.lacking + 1)
        return false
      }
      holding.used++
      inUse++
      holding.most = Math.max(holding.most, holding.used)
      if (!redis.available()) {
        wasAway = true
        askIn(HEAR_MS)
      }
      return true
    },
    free(target) {
      const holding = holdings.get(target.id)
      if (holding === undefined) return
      holding.used--
      inUse--
      if (others.waiting > 0) askIn(0)
    },
    waiting(count) {
      own = count
      if (isToldWrong()) askIn(0)
      return others.waiting
    },
    async close() {
      closed = true
      again?.disarm()
      await redis.use(client => placesScript(client, PREFIX, ['', 0, processId, 0])).catch(() => {})
    },
  }
}

/** Runs when everything that has arrived was dealt with, so that all calls of a turn are asked for at once. */
function atEndOfTurn(run: () => void): () => void {
  const armed = setImmediate(run)
  return () => clearImmediate(armed)
}
