import type { Clock } from '#core/clock.ts'
import { isBounded, type Places } from '#core/places.ts'
import type { Target } from '#core/servers.ts'
import { type Holding, mostOfLate, newHolding } from './holding.ts'
import type { Redis } from './redis.ts'
import { redisScript } from './redis-script.ts'

export interface RedisPlacesOptions {
  readonly redis: Pick<Redis, 'use' | 'available'>
  readonly clock: Clock
  /** Unique over all processes that ever use this Redis. */
  readonly processId: string
  /** The least number of processes that share the places, for when Redis does not answer. */
  readonly processes: () => number
  /** Called with the number of places that this process was granted for its waiting calls. */
  readonly onGranted: (count: number) => void
}

/** The beginning of every key. The hash tag `{citadel}` keeps all keys on one node of a cluster. */
const PREFIX = '{citadel}:places:'
/** The leases of a process end when it has not called Redis for so long, in milliseconds. */
const LEASE_MS = 30_000
/** How often Redis is asked while this process has places or waiting calls, and while it has neither, in milliseconds. */
const HEAR_MS = 250
const RENEW_MS = 10_000
/** After which a process asks again for places that it did not get, in milliseconds. The longer one is for a process with
 * calls in flight: their ends free places for it anyway. */
const LACK_MS = 20
const LACK_MORE_MS = 2 * LACK_MS
/** For how long after a failed attempt a process is reported as waiting, in milliseconds, even if its call did not queue. */
const HEARD_MS = 2 * HEAR_MS
/** How long a call whose queue timeout is 0 waits for an answer from Redis, in milliseconds. */
const ANSWER_MS = HEARD_MS

/** How many places Redis is asked for at a target. */
interface Asked {
  readonly holding: Holding
  readonly wanted: number
}

const placesScript = redisScript('places', 'now')

/** Creates the places that all processes on one Redis share. Each process leases the places that its calls use, and keeps
 * them for its next calls as long as no other process waits, so that most calls need no round trip. While Redis does not
 * answer, each process uses an equal share of every bound. `end` gives back what a process held that was killed. */
export function createRedisPlaces(
  options: RedisPlacesOptions,
): Places & { end(processId: string): Promise<void>; close(): Promise<void> } {
  const { redis, clock, processId, processes, onGranted } = options
  const holdings = new Map<string, Holding>()
  /** All processes that live, and the calls that wait in the others. */
  let others = { processes: 1, waiting: 0 }
  /** The calls that wait here, and as how many they were last reported. */
  let own = 0
  let reported = 0
  let inUse = 0
  let asking = false
  /** When Redis last gave less than was asked for, or places were given up for others: nothing more is asked for soon
   * after. */
  let refusedAt = -Infinity
  /** When Redis last gave less than was asked for. */
  let lackedAt = -Infinity
  /** Whether Redis did not answer since the last success. It may then have lost the leases, and does not know what was
   * taken meanwhile: every process has to report what it uses before any of them asks for more. */
  let wasAway = false
  let scheduled: { readonly at: number; readonly disarm: () => void } | null = null
  let closed = false

  function holdingOf(target: Target): Holding {
    let holding = holdings.get(target.id)
    if (holding === undefined) {
      holding = newHolding(target, clock.now())
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

  /** Schedules the next call of Redis, unless an earlier one is scheduled. */
  function askIn(ms: number): void {
    if (asking || closed) return
    const at = clock.now() + ms
    if (scheduled !== null && scheduled.at <= at) return
    scheduled?.disarm()
    scheduled = { at, disarm: ms > 0 ? clock.after(ms, ask) : atEndOfTurn(ask) }
  }

  function lack(holding: Holding, count: number): void {
    holding.lacking = count
    askIn(Math.max(0, wantsAt() - clock.now()))
  }

  /** When places may be asked for again after a refusal, in monotonic milliseconds. */
  const wantsAt = () => refusedAt + (inUse > 0 ? LACK_MORE_MS : LACK_MS)

  /** How many places this process asks for at a target: those that its calls need, and unused ones that it may keep as long
   * as no process lacks places at that server. */
  function wantedOf(holding: Holding, lacking: number, lackingServers: ReadonlySet<string>): number {
    const { target, used, leased } = holding
    const most = mostOfLate(holding, clock.now())
    const keeps = others.waiting === 0 && !lackingServers.has(target.server.id)
    return Math.max(used + lacking, keeps ? Math.min(leased, most) : 0)
  }

  /** How many waiting calls are reported to the other processes. */
  const waitingHere = () => Math.max(own, clock.now() - lackedAt < HEARD_MS ? 1 : 0)

  async function ask(): Promise<void> {
    scheduled?.disarm()
    scheduled = null
    asking = true
    const onlyReports = wasAway
    wasAway = false
    reported = waitingHere()
    const asked = prepare(onlyReports)
    const values = ['', LEASE_MS, processId, reported, ...asked.flatMap(toValues)]
    try {
      const answer = await redis.use(client => placesScript(client, PREFIX, values))
      asking = false
      follow(asked, answer)
      if (onlyReports) refusedAt = clock.now() + HEAR_MS
    } catch {
      asking = false
      goOnAlone()
    }
    for (const holding of holdings.values()) if (holding.lacking > 0) lack(holding, holding.lacking)
    askIn(isToldWrong() ? LACK_MS : holdings.size > 0 || reported > 0 ? HEAR_MS : RENEW_MS)
  }

  /** Decides what to ask for at each target; of what is leased, the rest is given back at once.
   *
   * @param onlyReports Whether only what is in use is asked for. */
  function prepare(onlyReports: boolean): readonly Asked[] {
    const mayWant = clock.now() >= wantsAt()
    const lackingServers = new Set<string>()
    for (const { lacking, target } of holdings.values())
      if (mayWant && lacking > 0) lackingServers.add(target.server.id)
    return Array.from(holdings.values(), holding => {
      const wanted = onlyReports ? holding.used : wantedOf(holding, mayWant ? holding.lacking : 0, lackingServers)
      // Places that are given up for other processes are not asked for again before those have had time to ask.
      if (mayWant && others.waiting > 0 && holding.leased > wanted) refusedAt = clock.now()
      // Places that are given back must not be used while the call is under way.
      holding.leased = Math.min(holding.leased, wanted)
      if (mayWant) holding.lacking = 0
      return { holding, wanted }
    })
  }

  /** From now on `hasPlace` uses the share. Leases end, because other processes may hold them when Redis is back. */
  function goOnAlone(): void {
    wasAway = true
    refusedAt = clock.now()
    others = { ...others, waiting: 0 }
    for (const holding of holdings.values()) holding.leased = 0
  }

  /** Whether what was last reported to the other processes, that calls wait here or that none does, is wrong by now. */
  const isToldWrong = () => waitingHere() > 0 !== reported > 0

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

  async function end(process: string): Promise<void> {
    await redis.use(client => placesScript(client, PREFIX, ['', 0, process, 0])).catch(() => {})
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
    end,
    async close() {
      closed = true
      scheduled?.disarm()
      await end(processId)
    },
  }
}

function toValues({ holding: { target, used }, wanted }: Asked): readonly (string | number)[] {
  const { id, maxConcurrent, server } = target
  return [id, maxConcurrent, server.id, server.maxConcurrent, used, wanted]
}

/** Runs at the end of this turn of the event loop, so that all calls of the turn are asked for at once. */
function atEndOfTurn(run: () => void): () => void {
  const armed = setImmediate(run)
  return () => clearImmediate(armed)
}
