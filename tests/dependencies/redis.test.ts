import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { configFrom, createGateway, type Gateway } from '#src/index.ts'
import { type Outcome, REDIS } from '#tests/dependencies/table.ts'
import { type DelayedProxy, delayedProxy } from '#tests/support/delayed-proxy.ts'
import { type Redis, startRedis } from '#tests/support/redis.ts'
import { connectionFrom } from '../support/connection.ts'

const PROCESSES = 2
const KEYS = { free: 'sk-of-somebody-without-limits', bound: 'sk-of-somebody-with-limits' }
const RATE = { perMinute: 1200, burst: 20 }
/** How long Redis may keep one request waiting, and what the machine may add, in milliseconds. */
const WAIT = { most: 300, noise: 150 }
const PAUSE_MS = 10

interface Fault {
  readonly name: keyof typeof REDIS
  breaks(server: Redis, proxy: DelayedProxy): unknown
  mends(server: Redis, proxy: DelayedProxy): unknown
  readonly beforeStart?: true
}

const FAULTS: readonly Fault[] = [
  { name: 'down at the start', beforeStart: true, breaks: server => server.kill(), mends: server => server.start() },
  { name: 'dies', breaks: server => server.kill(), mends: server => server.start() },
  { name: 'slow, 300 ms', breaks: (_, proxy) => proxy.delay(300), mends: (_, proxy) => proxy.delay(0) },
  { name: 'black hole', breaks: server => server.pause(), mends: server => server.resume() },
  { name: 'flapping', breaks: flap, mends: server => server.start() },
  {
    name: 'read-only',
    breaks: server => server.command('REPLICAOF', '127.0.0.1', '1'),
    mends: server => server.command('REPLICAOF', 'NO', 'ONE'),
  },
  {
    name: 'out of memory',
    breaks: server => server.command('CONFIG', 'SET', 'maxmemory', '1'),
    mends: server => server.command('CONFIG', 'SET', 'maxmemory', '0'),
  },
  { name: 'restarted empty', breaks: server => server.kill().then(() => server.start()), mends() {} },
]

async function flap(server: Redis): Promise<void> {
  for (let time = 0; time < 3; time++) {
    await server.kill()
    await Bun.sleep(150)
    await server.start()
    await Bun.sleep(150)
  }
  await server.kill()
}

/** What a caller that asks one request after another has seen. */
interface Seen {
  admitted: number
  refused: number
  failed: number
  /** Requests that took noticeably longer than they do, and the longest of all, in milliseconds. */
  slow: number
  longest: number
}

const TICK_MS = 10
let lastTick = performance.now()
let stalled = 0

function tick(): void {
  stalled = stalledNow()
  lastTick = performance.now()
}

function stalledNow(): number {
  return stalled + Math.max(0, performance.now() - lastTick - 2 * TICK_MS)
}

/** The time without what this process lost because the machine had other things to do. */
function ownTime(): number {
  return performance.now() - stalledNow()
}

const BODY = JSON.stringify({ model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }] })

async function ask(gateway: Gateway, key: string): Promise<number> {
  const request = new Request('http://localhost/v1/chat/completions', {
    ...{ method: 'POST', body: BODY, headers: { authorization: `Bearer ${key}` } },
  })
  return (await gateway.fetch(request, connectionFrom('127.0.0.1'))).status
}

async function keepAsking(gateway: Gateway, key: string, seen: Seen, goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    const since = ownTime()
    const status = await ask(gateway, key)
    const took = ownTime() - since
    if (status === 200) seen.admitted++
    else if (status === 429) seen.refused++
    else seen.failed++
    if (took > WAIT.noise) seen.slow++
    seen.longest = Math.max(seen.longest, took)
    await Bun.sleep(PAUSE_MS)
  }
}

function gatewayOn(port: number, storeDown: 'local' | 'closed'): Gateway {
  const bound = { requests_per_minute: RATE.perMinute, burst: RATE.burst }
  return createGateway(
    configFrom({
      gateway: { demo: true, discover: false },
      auth: {
        keys: [
          { name: 'free', key: KEYS.free, limits: { requests_per_minute: 1_000_000, concurrent_requests: 1000 } },
          { name: 'bound', key: KEYS.bound, limits: bound },
        ],
      },
      limits: { global: { requests_per_minute: 0 }, store_down: storeDown, processes: PROCESSES },
      redis: { url: `redis://127.0.0.1:${port}`, timeout: `${WAIT.most}ms` },
    }),
  )
}

/** Resolves when the gateways write to Redis again. */
async function isUsed(server: Redis): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await server.command('KEYS', '*limits:key:*').catch(() => '')).includes('limits:key:')) {
    if (performance.now() > deadline) throw new Error('Redis is not used again')
    await Bun.sleep(20)
  }
}

// Loading the library holds everything up, once, and is not what is measured here.
let ticking: ReturnType<typeof setInterval> | null = null
beforeAll(async () => {
  await import('ioredis')
  ticking = setInterval(tick, TICK_MS)
})

const table: string[][] = [['Redis', 'failed', 'admitted', 'at most', 'slow', 'longest']]

afterAll(() => {
  if (ticking !== null) clearInterval(ticking)
  const line = (cells: readonly string[]) => cells.map((cell, at) => cell.padEnd(at === 0 ? 20 : 10)).join('')
  console.log(table.map(line).join('\n'))
})

test('the table has every way to fail', () => {
  expect(FAULTS.map(({ name }): string => name)).toEqual(Object.keys(REDIS))
})

describe.each(FAULTS)('Redis $name', ({ name, breaks, mends, beforeStart }) => {
  const { losses, unknown }: Outcome = REDIS[name]

  test('fails nobody, admits no more than is said, and keeps nobody waiting twice', async () => {
    await using server = await startRedis()
    await using proxy = delayedProxy(server.port)
    if (beforeStart) await breaks(server, proxy)
    const gateways = Array.from({ length: PROCESSES }, () => gatewayOn(proxy.port, 'local'))
    const seen = gateways.flatMap(() =>
      Object.keys(KEYS).map(() => ({ admitted: 0, refused: 0, failed: 0, slow: 0, longest: 0 })),
    )
    // Who waits for the very first connection waits for the library too.
    if (!beforeStart) for (const gateway of gateways) await gateway.found
    let isOver = false
    const since = performance.now()

    const asking = gateways.flatMap((gateway, at) =>
      [KEYS.free, KEYS.bound].map((key, which) =>
        keepAsking(gateway, key, seen[2 * at + which] ?? never(), () => !isOver),
      ),
    )
    await Bun.sleep(500)
    if (!beforeStart) await breaks(server, proxy)
    await Bun.sleep(1000)
    const strangers = await Promise.all(gateways.map(gateway => ask(gateway, 'sk-of-nobody')))
    await mends(server, proxy)
    await isUsed(server)
    await Bun.sleep(500)
    isOver = true
    await Promise.all(asking)
    const seconds = (performance.now() - since) / 1000
    for (const gateway of gateways) await gateway.close()

    const bound = seen.filter((_, at) => at % 2 === 1)
    const admitted = bound.reduce((sum, one) => sum + one.admitted, 0)
    // Each loss may cost one burst, and each process one request by the rounding of its share.
    const most = RATE.burst + (RATE.perMinute / 60) * seconds + losses * (RATE.burst + PROCESSES)
    const failed = seen.reduce((sum, one) => sum + one.failed, 0)
    const slow = Math.max(...seen.map(one => one.slow))
    const longest = Math.max(...seen.map(one => one.longest))
    table.push([name, `${failed}`, `${admitted}`, most.toFixed(0), `${slow}`, `${longest.toFixed(0)} ms`])
    expect(failed).toBe(0)
    expect(strangers.filter(status => !unknown.includes(status))).toEqual([])
    expect(seen.filter((one, at) => at % 2 === 0 && one.refused > 0)).toEqual([])
    expect(admitted).toBeLessThanOrEqual(most)
    expect(slow).toBeLessThanOrEqual(losses)
    expect(longest).toBeLessThanOrEqual(WAIT.most + WAIT.noise)
    expect(bound.every(one => one.refused > 0)).toBe(true)
  }, 60_000)
})

function never(): never {
  throw new Error('There is a place for each caller.')
}

test('where the operator wants it so, nothing is admitted without Redis, and who may come back is told when', async () => {
  await using server = await startRedis()
  const gateway = gatewayOn(server.port, 'closed')
  const ask = () =>
    gateway.fetch(
      new Request('http://localhost/v1/chat/completions', {
        ...{ method: 'POST', headers: { authorization: `Bearer ${KEYS.free}` } },
        body: JSON.stringify({ model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }] }),
      }),
    )
  const before = await ask()

  await server.kill()
  const during = await ask()
  const health = await gateway.fetch(new Request('http://localhost/readyz'))

  expect([before.status, during.status, health.status]).toEqual([200, 503, 200])
  expect(during.headers.get('retry-after-ms')).toBe('1000')
  expect(await during.json()).toMatchObject({ error: { code: 'dependency_unavailable' } })
  await gateway.close()
}, 30_000)
