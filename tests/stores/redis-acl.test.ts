import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import type { CachedAnswer } from '#core/cache.ts'
import { createMemoryFailures } from '#stores/memory-failures.ts'
import { createMemoryIdempotency } from '#stores/memory-idempotency.ts'
import { createMemoryReplays } from '#stores/memory-replays.ts'
import { openRedis, type Redis, type RedisClient } from '#stores/redis.ts'
import { createRedisCache } from '#stores/redis-cache.ts'
import { checkRedis } from '#stores/redis-check.ts'
import { createRedisCooldowns } from '#stores/redis-cooldowns.ts'
import { createRedisFailures } from '#stores/redis-failures.ts'
import { createRedisHolds } from '#stores/redis-holds.ts'
import { createRedisIdempotency } from '#stores/redis-idempotency.ts'
import { createRedisLimiter } from '#stores/redis-limiter.ts'
import { createRedisLists } from '#stores/redis-lists.ts'
import { createRedisPlaces } from '#stores/redis-places.ts'
import { createRedisProbes } from '#stores/redis-probes.ts'
import { createRedisReplays } from '#stores/redis-replays.ts'
import { answerOf, keyed } from '#tests/contract/idempotency.ts'
import { target } from '#tests/support/calls.ts'
import { type FakeClock, fakeClock, settled } from '#tests/support/clock.ts'
import { type Redis as Server, startRedis } from '#tests/support/redis.ts'

setDefaultTimeout(60_000)

const GUIDE = readFileSync(new URL('../../src/http/docs/guides/databases.md', import.meta.url), 'utf8')
const RULE = /^ACL SETUSER (.+)$/m.exec(GUIDE)?.[1]?.split(' ') ?? []
const HASH = 'a'.repeat(64)
const STORED: CachedAnswer = {
  ...{ form: 'plain', text: '{}', count: '', id: '', created: 0, pace: [], usage: null, characters: 0 },
  ...{ model: 'm', target: 't', tenant: 'default', key: 'k', storedAt: 0, ttlMs: 60_000 },
}
const ACCOUNT = { id: 'key:a/b', tenant: 'a', period: '2026-01', cap: 1000, resetsAt: 0 }

interface Deps {
  readonly redis: Redis
  readonly clock: FakeClock
}

/** Waits until Redis has answered all that it was asked. */
async function answered({ redis }: Deps): Promise<void> {
  await settled()
  await redis.use(client => client.get('{citadel}:trial'))
  await settled()
}

async function limit(deps: Deps): Promise<void> {
  const buckets = [
    { key: 'r', scope: 'key', unit: 'requests', limit: 10, periodMs: 60_000, burst: 10 },
    { key: 'c', scope: 'key', unit: 'concurrent', limit: 10, periodMs: 0, burst: 10 },
  ] as const
  const settings = () => ({ storeDown: 'local', processes: 1 }) as const
  const limiter = createRedisLimiter({ ...deps, entriesMax: 10, processId: 'p', settings })
  for (const owner of ['one', 'two']) {
    await limiter.take(buckets, 1, owner)
    limiter.settle(buckets, { requests: -1, tokens: 0 }, owner)
    await answered(deps)
  }
  await limiter.take(buckets, 1, 'three')
  deps.clock.advance(10_000)
  await limiter.close()
}

async function hold({ redis }: Deps): Promise<void> {
  const holds = createRedisHolds(redis)
  const none = { spent: [], over: [], written: [] }
  await holds.follow({ ...none, now: 0, spent: [{ ...ACCOUNT, nano: 1, ledger: 'l', version: 1 }] })
  for (const request of ['one', 'two']) await holds.take({ request, accounts: [ACCOUNT], nano: 10, expiresAt: 5 }, 'l')
  await holds.follow({ ...none, now: 1, over: [{ request: 'one', nano: 5 }], written: ['one'] })
  await holds.follow({ ...none, now: 10 })
  await holds.holds()
}

async function store(deps: Deps): Promise<void> {
  const cache = createRedisCache({ ...deps, onClear() {} })
  const names = [`chat:${HASH}`, `embed:${HASH}`]
  for (const name of names) await cache.set(name, { ...STORED, storedAt: deps.clock.time() })
  await Promise.all(names.map(cache.get))
  deps.clock.advance(5000)
  await answered(deps)
  cache.close()
  await cache.clear({ model: 'm' })
}

async function repeat(deps: Deps): Promise<void> {
  const { clock } = deps
  const open = () => {
    const near = createMemoryIdempotency({ clock, ttlMs: 1000, bytesMax: 1000, answerBytesMax: 100 })
    return createRedisIdempotency({ ...deps, near, ttlMs: 1000, answerBytesMax: 100 })
  }
  const [keys, others] = [open(), open()]
  await keys.claim(keyed({ key: 'kept' }))
  await keys.claim(keyed({ key: 'released' }))
  clock.advance(10_000)
  keys.keep('kept', 'first', answerOf('{}'))
  keys.release('released', 'first')
  await answered(deps)
  await others.claim(keyed({ key: 'kept', owner: 'second' }))
  keys.close()
  others.close()
}

async function place(deps: Deps): Promise<void> {
  const places = createRedisPlaces({ ...deps, processId: 'p', processes: () => 1, onGranted() {} })
  places.take(target('a', { maxConcurrent: 1 }))
  await answered(deps)
  await places.close()
}

async function guard(deps: Deps): Promise<void> {
  const perMinute = () => 10
  const failures = createRedisFailures({ ...deps, perMinute, local: createMemoryFailures({ perMinute, ...deps }) })
  failures.note('203.0.113.7')
  await failures.waitMs('203.0.113.7')
}

async function replay(deps: Deps): Promise<void> {
  await createRedisReplays({ ...deps, local: createMemoryReplays(deps.clock) }).take('k', 's', deps.clock.time())
}

async function watch(deps: Deps): Promise<void> {
  const cooldowns = createRedisCooldowns({ ...deps, onHeard() {} })
  for (let round = 0; round < 2; round++) {
    await answered(deps)
    cooldowns.tell('a', 1000)
    deps.clock.advance(0)
  }
  await answered(deps)
  cooldowns.close()
}

async function list({ redis }: Deps): Promise<void> {
  const lists = createRedisLists(redis, () => 1000)
  lists.set('a', { at: 1, models: [] })
  await lists.get('a')
}

async function probe({ redis }: Deps): Promise<void> {
  const probes = createRedisProbes(redis)
  await probes.post('a', { at: 1, latencyMs: 1 }, 1000)
  await probes.since('a', 0)
}

/** Everything that the gateway ever does in Redis. */
const ALL = [limit, hold, store, repeat, place, guard, replay, watch, list, probe]

describe('the rights that the guide gives the user of Redis', () => {
  let server: Server

  beforeAll(async () => {
    server = await startRedis()
  })

  afterAll(async () => {
    await server[Symbol.asyncDispose]()
  })

  /** @returns What failed, and what was denied as Redis has noted it, while a user with these rights did everything. */
  async function failuresWith(rule: readonly string[]): Promise<readonly string[]> {
    await server.command('FLUSHALL')
    await server.command('ACL', 'DELUSER', 'citadel')
    await server.command('ACL', 'SETUSER', ...rule)
    await server.command('ACL', 'LOG', 'RESET')
    const url = `${server.url.replace('//', '//citadel:PASSWORD@')}/1`
    const clock = fakeClock()
    const opened = openRedis({ urls: [url], timeoutMs: 5000, clock })
    const failures: string[] = []
    const note = (thrown: unknown) => void failures.push(String(thrown))
    const client = await opened
      .use(async made => made)
      .catch((thrown: unknown) => {
        note(thrown)
        return null
      })
    if (client !== null) {
      // One denial keeps nobody from the next one.
      const redis = { ...opened, use: <T>(work: (made: RedisClient) => Promise<T>) => work(client) }
      for (const one of ALL) await one({ redis, clock }).catch(note)
    }
    await checkRedis({ urls: [url], timeoutMs: 5000 }).catch(note)
    opened.close()
    const denied = await server.command('ACL', 'LOG')
    return denied === '(empty array)' ? failures : [...failures, denied]
  }

  test('are enough for every command', async () => {
    expect(RULE[0]).toBe('citadel')
    expect(await failuresWith(RULE)).toEqual([])
  })

  test('include nothing that is not needed', async () => {
    const needless: string[] = []
    for (const right of RULE.filter(word => /^[+~]/.test(word))) {
      const failures = await failuresWith(RULE.filter(word => word !== right))
      if (failures.length === 0) needless.push(right)
    }

    expect(needless).toEqual([])
  })
})
