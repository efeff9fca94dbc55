import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Clock, systemClock } from '#core/clock.ts'
import type { IdempotencyStore } from '#core/idempotency.ts'
import { createMemoryIdempotency } from '#stores/memory-idempotency.ts'
import { type Redis as Opened, openRedis } from '#stores/redis.ts'
import { createRedisIdempotency } from '#stores/redis-idempotency.ts'
import { answerOf, idempotencyContract, keyed, TTL_MS } from '#tests/contract/idempotency.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { type Redis, type RedisCluster, startRedis, startRedisCluster } from '#tests/support/redis.ts'

const realClock = systemClock()
const bounds = { ttlMs: TTL_MS, bytesMax: 1024 * 1024, answerBytesMax: 64 * 1024 }

/** One process. */
function processAt(redis: Opened, clock: Clock) {
  return createRedisIdempotency({ redis, clock, near: createMemoryIdempotency({ clock, ...bounds }), ...bounds })
}

let stores = 0

/** Several processes as one store, whose claims go to each of them in turn. Its keys are its own. */
function fleetAt(redis: Opened, clock: Clock, size: number): IdempotencyStore {
  const processes = Array.from({ length: size }, () => processAt(redis, clock))
  const prefix = `${process.pid} ${++stores}`
  let turn = 0
  const next = () => {
    const one = processes[turn++ % size]
    if (one === undefined) throw new Error('no process')
    return one
  }
  return {
    claim: request => next().claim({ ...request, key: `${prefix} ${request.key}` }),
    keep: (key, owner, answer) => processes.forEach(each => void each.keep(`${prefix} ${key}`, owner, answer)),
    release: (key, owner) => processes.forEach(each => void each.release(`${prefix} ${key}`, owner)),
  }
}

describe('in one Redis', () => {
  let server: Redis
  let redis: Opened

  beforeAll(async () => {
    server = await startRedis()
    redis = openRedis({ urls: [server.url], timeoutMs: 2000, clock: realClock })
  })

  afterAll(async () => {
    redis.close()
    await server[Symbol.asyncDispose]()
  })

  idempotencyContract('the idempotency store of one process with Redis', clock => fleetAt(redis, clock, 1))
  idempotencyContract('the idempotency store of three processes', clock => fleetAt(redis, clock, 3))

  /** Asks until another process has written what it was told to. */
  async function until(store: IdempotencyStore, key: string, kind: string) {
    for (const end = performance.now() + 5000; performance.now() < end; ) {
      const claim = await store.claim(keyed({ key, owner: 'later' }))
      if (claim.kind === kind) return claim
      // What is wrong once may be right when it has run out.
      if (claim.kind !== 'running') throw new Error(`${key} is ${claim.kind} instead of ${kind}`)
      await Bun.sleep(2)
    }
    throw new Error(`${key} is not ${kind}`)
  }

  test('an answer that one process stored is given by another one; long ones are compressed', async () => {
    const clock = fakeClock(Date.now())
    const [one, two] = [processAt(redis, clock), processAt(redis, clock)]
    await server.command('FLUSHALL')
    const answer = { ...answerOf('ä long answer '.repeat(2000)), contentType: 'text/event-stream' }
    await one.claim(keyed({ key: 'long' }))
    one.keep('long', 'first', answer)

    expect(await until(two, 'long', 'stored')).toEqual({ kind: 'stored', answer })
    const [name = ''] = /idempotency:[0-9a-f]+/.exec(await server.command('KEYS', 'idempotency:*')) ?? []
    expect(Number((await server.command('HSTRLEN', name, 'answer')).replace(/\D/g, ''))).toBeLessThan(5000)
    expect(Number((await server.command('PTTL', name)).replace(/\D/g, ''))).toBeLessThanOrEqual(TTL_MS)
  })

  test('an answer that is too large is not stored, and its key is free again', async () => {
    const clock = fakeClock(Date.now())
    const [one, two] = [processAt(redis, clock), processAt(redis, clock)]
    await one.claim(keyed({ key: 'large' }))
    one.keep('large', 'first', answerOf('x'.repeat(bounds.answerBytesMax + 1)))

    expect((await until(two, 'large', 'claimed')).kind).toBe('claimed')
  })

  test('a claim is renewed while its process runs, and free after the process died', async () => {
    const clock = fakeClock(Date.now())
    const one = processAt(redis, clock)
    await server.command('FLUSHALL')
    await one.claim(keyed({ key: 'running' }))
    const [name = ''] = /idempotency:[0-9a-f]+/.exec(await server.command('KEYS', 'idempotency:*')) ?? []
    const left = async () => Number((await server.command('PTTL', name)).replace(/\D/g, ''))
    for (const _ of ['once', 'and again']) {
      await server.command('PEXPIRE', name, '1000')
      clock.advance(10_000)
      for (const end = performance.now() + 5000; (await left()) <= 1000; ) {
        if (performance.now() > end) throw new Error('the claim was not renewed')
      }
    }
    one.close()

    // What nobody renews is gone after that.
    expect(await left()).toBeLessThanOrEqual(30_000)
    await server.command('PEXPIRE', name, '0')
    expect((await processAt(redis, clock).claim(keyed({ key: 'running', owner: 'second' }))).kind).toBe('claimed')
  })

  test('a claim that Redis lost or never received is sent again', async () => {
    const clock = fakeClock(Date.now())
    const one = processAt(redis, clock)
    await server.command('FLUSHALL')
    await one.claim(keyed({ key: 'forgotten' }))
    await server.command('FLUSHALL')
    clock.advance(10_000)
    const known = async () => (await server.command('KEYS', 'idempotency:*')).includes('idempotency:')
    for (const end = performance.now() + 5000; !(await known()); ) {
      if (performance.now() > end) throw new Error('the claim was not told again')
    }

    expect(await processAt(redis, clock).claim(keyed({ key: 'forgotten', owner: 'second' }))).toEqual({
      kind: 'running',
    })
    one.close()
  })

  test('claims that go on, and those that ended, are told as soon as Redis is back', async () => {
    const clock = fakeClock(Date.now())
    const backs: (() => void)[] = []
    let away = false
    let calls = 0
    const lossy: Opened = {
      ...redis,
      use(work) {
        calls++
        return away ? Promise.reject(new Error('away')) : redis.use(work)
      },
      onBack: run => void backs.push(run),
    }
    const one = processAt(lossy, clock)
    await server.command('FLUSHALL')
    await one.claim(keyed({ key: 'failed' }))
    await one.claim(keyed({ key: 'answered' }))
    away = true
    await one.claim(keyed({ key: 'going on' }))
    one.release('failed', 'first')
    one.keep('answered', 'first', answerOf('{}'))
    await settled()
    away = false
    const before = calls
    const told = [...backs, ...backs].map(run => {
      run()
      return calls - before
    })
    const two = processAt(redis, clock)
    const kinds = []
    for (const key of ['going on', 'failed', 'answered'])
      kinds.push((await two.claim(keyed({ key, owner: 'second' }))).kind)
    one.close()
    two.close()

    expect(kinds).toEqual(['running', 'claimed', 'claimed'])
    // What ended is told once, what goes on each time.
    expect(told).toEqual([3, 4])
  })

  test('a claim that Redis has is freed when it is back, however many began and ended without it', async () => {
    const clock = fakeClock(Date.now())
    const backs: (() => void)[] = []
    let away = false
    const lossy: Opened = {
      ...redis,
      use: work => (away ? Promise.reject(new Error('away')) : redis.use(work)),
      available: () => !away,
      onBack: run => void backs.push(run),
    }
    const [one, two] = [processAt(lossy, clock), processAt(redis, clock)]
    await one.claim(keyed({ key: 'known there' }))
    away = true
    for (let at = 0; at < 1000; at++) {
      await one.claim(keyed({ key: `unknown there ${at}` }))
      one.release(`unknown there ${at}`, 'first')
    }
    one.release('known there', 'first')
    await settled()
    away = false
    for (const run of backs) run()

    expect(await two.claim(keyed({ key: 'known there', owner: 'second' }))).toEqual({ kind: 'claimed' })
    one.close()
    two.close()
  })

  test('a process that lost a claim to another one does not store its answer', async () => {
    const clock = fakeClock(Date.now())
    const [one, two] = [processAt(redis, clock), processAt(redis, clock)]
    const claim = (at: IdempotencyStore, owner: string) => at.claim(keyed({ key: 'lost', owner }))
    await claim(one, 'first')
    await server.command('FLUSHALL')
    await claim(two, 'second')

    one.keep('lost', 'first', answerOf('late'))
    const meanwhile = await claim(processAt(redis, clock), 'third')
    two.keep('lost', 'second', answerOf('good'))

    expect(meanwhile).toEqual({ kind: 'running' })
    expect(await claim(processAt(redis, clock), 'fourth')).toEqual({ kind: 'stored', answer: answerOf('good') })
  })

  test('a twin in the same process leaves the claim to its owner, whose answer others get', async () => {
    const clock = fakeClock(Date.now())
    const [one, two] = [processAt(redis, clock), processAt(redis, clock)]
    await one.claim(keyed({ key: 'twin' }))

    expect(await one.claim(keyed({ key: 'twin', owner: 'second' }))).toEqual({ kind: 'running' })
    one.keep('twin', 'first', answerOf('once'))
    expect(await until(two, 'twin', 'stored')).toEqual({ kind: 'stored', answer: answerOf('once') })
  })

  test('twins that come together are both given what another process stored', async () => {
    const clock = fakeClock(Date.now())
    const [one, two] = [processAt(redis, clock), processAt(redis, clock)]
    await one.claim(keyed({ key: 'together' }))
    one.keep('together', 'first', answerOf('once'))
    await until(processAt(redis, clock), 'together', 'stored')

    const twins = ['second', 'third'].map(owner => two.claim(keyed({ key: 'together', owner })))
    expect((await Promise.all(twins)).map(({ kind }) => kind)).toEqual(['stored', 'stored'])
  })

  test('a process that was turned away does not claim the key later', async () => {
    const clock = fakeClock(Date.now())
    const [one, two, three] = [processAt(redis, clock), processAt(redis, clock), processAt(redis, clock)]
    await one.claim(keyed({ key: 'elsewhere' }))
    expect(await two.claim(keyed({ key: 'elsewhere', owner: 'second' }))).toEqual({ kind: 'running' })
    one.close()
    await server.command('FLUSHALL')
    clock.advance(10_000)

    expect(await three.claim(keyed({ key: 'elsewhere', owner: 'third' }))).toEqual({ kind: 'claimed' })
    three.close()
  })

  test('the key of an expired answer is claimed by one request only', async () => {
    const clock = fakeClock(Date.now())
    const one = processAt(redis, clock)
    const claim = (at: IdempotencyStore, owner: string) => at.claim(keyed({ key: 'old', owner }))
    await claim(one, 'first')
    one.keep('old', 'first', answerOf('old'))
    clock.advance(TTL_MS + 1)

    const claims = [await claim(processAt(redis, clock), 'second'), await claim(processAt(redis, clock), 'third')]

    expect(claims).toEqual([{ kind: 'claimed' }, { kind: 'running' }])
  })

  test('a value that another program wrote is not used as an answer', async () => {
    const clock = fakeClock(Date.now())
    const one = processAt(redis, clock)
    await one.claim(keyed({ key: 'odd' }))
    await server.command('FLUSHALL')
    const two = processAt(redis, clock)
    await two.claim(keyed({ key: 'odd' }))
    const [name = ''] = /idempotency:[0-9a-f]+/.exec(await server.command('KEYS', 'idempotency:*')) ?? []
    await server.command('HSET', name, 'until', String(clock.time() + 1000), 'answer', 'no answer')

    expect(await processAt(redis, clock).claim(keyed({ key: 'odd' }))).toEqual({ kind: 'claimed' })
  })
})

describe('in a Redis Cluster', () => {
  let cluster: RedisCluster
  let redis: Opened

  beforeAll(async () => {
    cluster = await startRedisCluster()
    redis = openRedis({ urls: cluster.urls, timeoutMs: 2000, clock: realClock })
  }, 60_000)

  afterAll(async () => {
    redis.close()
    await cluster[Symbol.asyncDispose]()
  })

  idempotencyContract('the idempotency store of three processes on a cluster', clock => fleetAt(redis, clock, 3))
})

test('without Redis each process uses what it knows itself', async () => {
  const server = await startRedis()
  const clock = fakeClock(Date.now())
  const redis = openRedis({ urls: [server.url], timeoutMs: 2000, clock: realClock })
  const store = processAt(redis, clock)
  await store.claim(keyed({ key: 'before' }))
  await server.kill()

  const during = await store.claim(keyed({ key: 'during' }))
  store.keep('before', 'first', answerOf('{}'))
  store.keep('during', 'first', answerOf('{}'))

  expect(during.kind).toBe('claimed')
  expect(redis.available()).toBe(false)
  for (const key of ['before', 'during']) {
    expect((await store.claim(keyed({ key, owner: 'second' }))).kind).toBe('stored')
  }
  store.close()
  redis.close()
  await server[Symbol.asyncDispose]()
})
