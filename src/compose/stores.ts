import type { Config } from '#config/schema.ts'
import type { Clock } from '#core/clock.ts'
import type { Failures, Replays } from '#core/guards.ts'
import type { IdempotencyStore } from '#core/idempotency.ts'
import type { Limiter } from '#core/limiter.ts'
import type { Places } from '#core/places.ts'
import type { ProbeBoard } from '#core/probes.ts'
import { type List, shareLists } from '#registry/shared-lists.ts'
import { createMemoryFailures } from '#stores/memory-failures.ts'
import { createMemoryIdempotency } from '#stores/memory-idempotency.ts'
import { createMemoryLimiter } from '#stores/memory-limiter.ts'
import { createMemoryReplays } from '#stores/memory-replays.ts'
import { openRedis, type Redis, type RedisOptions } from '#stores/redis.ts'
import { createRedisFailures } from '#stores/redis-failures.ts'
import { createRedisIdempotency } from '#stores/redis-idempotency.ts'
import { createRedisLimiter } from '#stores/redis-limiter.ts'
import { createRedisLists } from '#stores/redis-lists.ts'
import { createRedisPlaces } from '#stores/redis-places.ts'
import { createRedisProbes } from '#stores/redis-probes.ts'
import { createRedisReplays } from '#stores/redis-replays.ts'
import type { Database, DatabasePlace } from '#stores/sql.ts'
import { createSqlProbes } from '#stores/sql-probes.ts'
import type { Shared } from './workers.ts'

const LIMITER_ENTRIES_MAX = 100_000
/** For how long, and up to which size, answers are kept for requests that are sent again. */
const IDEMPOTENCY = { ttlMs: 24 * 60 * 60 * 1000, bytesMax: 64 * 1024 * 1024, answerBytesMax: 1024 * 1024 }

/** Opens the Redis of a configuration; `null` where it has none. */
export function openRedisOf({ redis }: Config, clock: Clock, onChange: RedisOptions['onChange']): Redis | null {
  return redis.url === null ? null : openRedis({ urls: redis.url, timeoutMs: redis.timeout, clock, onChange })
}

/** Creates the board for the results of probes: in Redis, else in Postgres; `null` without both. Not in SQLite, because
 * one machine has no need to write them down. */
export function createBoard(redis: Redis | null, database: Database | null, place: DatabasePlace): ProbeBoard | null {
  if (redis !== null) return createRedisProbes(redis)
  return database !== null && place.kind === 'postgres' ? createSqlProbes(database) : null
}

/** Creates the limiter: in Redis, else in the shared memory of the workers, else in the memory of this process. */
export function createLimiter(
  redis: Redis | null,
  shared: Limiter | null,
  clock: Clock,
  config: () => Config,
): Limiter & { close(): Promise<void> } {
  const entriesMax = LIMITER_ENTRIES_MAX
  if (redis !== null) {
    const settings = () => ({ storeDown: config().limits.store_down, processes: config().limits.processes })
    return createRedisLimiter({ redis, clock, entriesMax, processId: crypto.randomUUID(), settings })
  }
  return { ...(shared ?? createMemoryLimiter({ clock, entriesMax })), close: async () => {} }
}

/** Creates the places at servers: in Redis, else in the shared memory of the workers; `null` where this process is
 * alone.
 *
 * @param onGranted Called with the number of places that this process has got. */
export function createPlaces(
  redis: Redis | null,
  shared: Shared,
  deps: { readonly clock: Clock; readonly config: () => Config; readonly onGranted: (count: number) => void },
): { readonly places: Places | null; close(): Promise<void> } {
  const { name, crew } = shared
  if (redis === null) return { places: shared.places, close: async () => {} }
  const { clock, config, onGranted } = deps
  const processes = () => config().limits.processes
  const places = createRedisPlaces({ redis, clock, processId: name, processes, onGranted })
  crew.listen(news => {
    if (news.type === 'worker-ended') void places.end(news.worker)
  })
  return { places, close: places.close }
}

/** Creates the store of idempotency keys: in the memory of this process, with Redis behind it where there is one. */
export function createIdempotency(redis: Redis | null, clock: Clock): IdempotencyStore & { close(): void } {
  const near = createMemoryIdempotency({ clock, ...IDEMPOTENCY })
  return redis === null ? { ...near, close() {} } : createRedisIdempotency({ redis, clock, near, ...IDEMPOTENCY })
}

/** Creates the counts of failures and the memory of signatures: shared through Redis where there is one. */
export function createGuards(
  redis: Redis | null,
  clock: Clock,
  perMinute: () => number,
): { readonly failures: Failures; readonly replays: Replays } {
  const [failures, replays] = [createMemoryFailures({ perMinute, clock }), createMemoryReplays(clock)]
  if (redis === null) return { failures, replays }
  return {
    failures: createRedisFailures({ redis, perMinute, local: failures }),
    replays: createRedisReplays({ redis, clock, local: replays }),
  }
}

/** Creates the sharing of model lists: through Redis; without it nothing is shared. */
export function createSharing(redis: Redis | null, clock: Clock, holdMs: () => number): (list: List) => List {
  if (redis === null) return list => list
  const store = createRedisLists(redis, holdMs)
  return list => shareLists(list, store, { clock, holdMs })
}
