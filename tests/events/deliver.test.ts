import { describe, expect, test } from 'bun:test'
import type { CursorStore, FleetEvent } from '#core/events.ts'
import type { Fact } from '#core/journal.ts'
import { createDelivery, type Endpoint } from '#events/deliver.ts'
import { sha256 } from '#lib/hash.ts'
import { createIds } from '#lib/id.ts'
import { isSignedBy } from '#lib/standard-webhooks.ts'
import { createMemoryCursors } from '#stores/memory-cursors.ts'
import { createMemoryEvents } from '#stores/memory-events.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly at: number
}

type Answer = (sent: Sent, count: number) => number | Promise<number>

/** A store in which events and cursors stay when a process ends. */
function createWorld() {
  const clock = fakeClock()
  const events = createMemoryEvents({ entriesMax: 10_000, newId: createIds() })
  return { clock, events, cursors: createMemoryCursors(), sent: [] as Sent[] }
}

/** A process that delivers to these endpoints; `answer` gives the status of each message, or throws. */
function deliveryTo(endpoints: readonly Endpoint[], answer: Answer, world = createWorld(), owner = 'one') {
  const { clock, sent, events } = world
  const facts: Fact[] = []
  const delivery = createDelivery({
    ...world,
    owner,
    random: () => 1,
    journal: { note: fact => facts.push(fact) },
    endpoints: () => endpoints,
    post: async (url, headers, body) => {
      sent.push({ url, headers, body, at: clock.now() })
      return answer(sent.at(-1) ?? { url, headers, body, at: 0 }, sent.length)
    },
  })
  delivery.start()
  return {
    world,
    sent,
    clock,
    stop: delivery.stop,
    async keep(name: string, type: FleetEvent['type'] = 'server_registered') {
      const event = { type, at: clock.time(), server: name, data: { by: 'ops' } }
      const [kept] = await events.add([{ event, series: name, state: 'there', initially: '' }])
      if (kept !== undefined) delivery.subscriber({ type: 'event-kept', event: kept })
    },
    servers: () => sent.map(({ body }) => String(JSON.parse(body).data.server)),
    results: () => facts.flatMap(fact => (fact.type === 'event-delivered' ? [fact.result] : [])),
    async pass(ms: number) {
      for (let left = ms; left > 0; left -= 1000) {
        clock.advance(1000)
        await settled()
      }
    },
  }
}

const HOOK: Endpoint = { url: 'http://hook/a', events: null, secret: null }

describe('an event', () => {
  test('is delivered in the form of Standard Webhooks, and signed if there is a secret', async () => {
    const { keep, sent, results } = deliveryTo(
      [
        { ...HOOK, secret: 'a secret' },
        { ...HOOK, url: 'http://hook/b' },
      ],
      () => 204,
    )
    await settled()

    await keep('a')
    await settled()

    const [signed, plain] = sent
    const id = signed?.headers['webhook-id'] ?? ''
    expect(JSON.parse(signed?.body ?? '')).toEqual({
      type: 'server_registered',
      timestamp: '2026-01-01T00:00:00.000Z',
      data: { id, server: 'a', by: 'ops' },
    })
    const seconds = Date.UTC(2026, 0, 1) / 1000
    expect(signed?.headers).toMatchObject({
      'content-type': 'application/json',
      'webhook-timestamp': String(seconds),
    })
    const message = { id, seconds, body: signed?.body ?? '' }
    expect(isSignedBy('a secret', message, signed?.headers['webhook-signature'] ?? '')).toBe(true)
    expect(plain?.headers).not.toHaveProperty('webhook-signature')
    expect(results()).toEqual(['ok', 'ok'])
  })

  test('is delivered only to the endpoints that want its type', async () => {
    const { keep, servers } = deliveryTo([{ ...HOOK, events: ['failover_initiated'] }], () => 204)

    await keep('a')
    await keep('b', 'failover_initiated')
    await settled()

    expect(servers()).toEqual(['b'])
  })

  test('is tried eight times with doubling waits, and then dropped, and so is the next', async () => {
    const { keep, sent, pass, results } = deliveryTo([HOOK], (_, count) => {
      if (count % 2 === 0) throw new Error('refused')
      return 500
    })

    await keep('a')
    await settled()
    await pass(200_000)

    expect(sent.map(({ at }) => at / 1000)).toEqual([0, 1, 3, 7, 15, 31, 63, 127])
    expect(new Set(sent.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    const eight = [...Array.from({ length: 7 }, () => 'retried' as const), 'lost' as const]
    expect(results()).toEqual(eight)
    await keep('b')
    await pass(200_000)
    expect(results()).toEqual([...eight, ...eight])
  })

  test('that an endpoint does not accept delays the next events of this endpoint, and of no other', async () => {
    const other = { ...HOOK, url: 'http://hook/b' }
    let refusals = 2
    const { keep, sent, pass, servers } = deliveryTo([HOOK, other], ({ url }) =>
      url === HOOK.url && refusals-- > 0 ? 503 : 200,
    )

    for (const name of ['a', 'b']) await keep(name)
    await settled()
    await pass(1000)
    const early = sent.map(({ url }, index) => `${url} ${servers()[index]}`)
    await pass(5000)

    expect(early.filter(each => each.startsWith(HOOK.url))).toEqual(['http://hook/a a', 'http://hook/a a'])
    expect(early.filter(each => each.startsWith(other.url))).toEqual(['http://hook/b a', 'http://hook/b b'])
    expect(sent.slice(4).map(({ url }, index) => `${url} ${servers()[index + 4]}`)).toEqual([
      'http://hook/a a',
      'http://hook/a b',
    ])
  })

  test('is dropped if it is a day old when its turn comes', async () => {
    const world = createWorld()
    await deliveryTo([HOOK], () => 204, world).stop()
    const { keep, pass, servers, results } = deliveryTo([], () => 204, world)
    await keep('old')
    world.clock.advance(25 * 3_600_000)
    await keep('new')

    const later = deliveryTo([HOOK], () => 204, world)
    await pass(2000)

    expect(servers()).toEqual(['new'])
    expect(later.results()).toEqual(['lost', 'ok'])
    expect(results()).toEqual([])
  })
})

describe('of several processes', () => {
  test('one delivers the events of all', async () => {
    const world = createWorld()
    const first = deliveryTo([HOOK], () => 204, world)
    await settled()
    const second = deliveryTo([HOOK], () => 204, world, 'two')

    await first.keep('a')
    await second.keep('b')
    await first.pass(3000)

    expect(first.servers()).toEqual(['a', 'b'])
    expect([first.results().length, second.results().length]).toEqual([2, 0])
  })

  test('another one continues at once when the delivering process stops', async () => {
    const world = createWorld()
    const first = deliveryTo([HOOK], () => 204, world)
    await first.keep('a')
    await settled()
    await first.stop()

    const second = deliveryTo([HOOK], () => 204, world, 'two')
    await second.keep('b')
    await settled()

    expect(second.servers()).toEqual(['a', 'b'])
  })

  test('another one continues within twenty seconds when the delivering process dies', async () => {
    const world = createWorld()
    const hangs = new Promise<number>(() => {})
    const first = deliveryTo([HOOK], () => hangs, world)
    const second = deliveryTo([HOOK], () => 204, world, 'two')
    await first.keep('a')
    await settled()

    await second.pass(20_000)

    expect(second.servers()).toEqual(['a', 'a'])
    expect(second.results()).toEqual(['ok'])
  })
})

test('a process that delivers again after another one counts its attempts from the beginning', async () => {
  const world = createWorld()
  let paused = false
  const claim: CursorStore['claim'] = (...all) => (paused ? Promise.resolve(null) : world.cursors.claim(...all))
  const first = deliveryTo([HOOK], () => 500, { ...world, cursors: { ...world.cursors, claim } })
  await first.keep('a')
  await first.pass(20_000)
  paused = true
  const second = deliveryTo([HOOK], () => 204, world, 'two')
  await second.pass(30_000)
  await second.stop()
  const before = first.results().length

  paused = false
  await first.keep('b')
  await first.pass(200_000)

  expect(second.results()).toEqual(['ok'])
  expect(first.results().slice(before)).toEqual([...Array.from({ length: 7 }, () => 'retried' as const), 'lost'])
})

test('a process that was stopped for a while continues after what others delivered meanwhile', async () => {
  const world = createWorld()
  const frozen: (() => void)[] = []
  let stands = false
  const stopping = {
    ...world.clock,
    after: (ms: number, run: () => void) => world.clock.after(ms, () => (stands ? frozen.push(run) : run())),
  }
  const endpoints = [{ url: 'https://a.test/', events: null, secret: null }]
  const first = deliveryTo(endpoints, ({ body }) => (body.includes('s2') ? 500 : 200), { ...world, clock: stopping })
  await first.keep('s1')
  await first.keep('s2')
  await settled()
  stands = true
  const second = deliveryTo(endpoints, () => 200, world, 'two')
  await second.pass(20_000)
  await second.keep('s3')
  await second.pass(2000)
  await second.stop()

  stands = false
  for (const run of frozen) run()
  await first.pass(10_000)

  expect(first.servers()).toEqual(['s1', 's2', 's2', 's3'])
  await first.stop()
})

test('a process that has lost an endpoint while it passed over events of other types leaves it alone', async () => {
  const world = createWorld()
  const wanted = [{ ...HOOK, events: ['server_departed'] as const }]
  let lists = 0
  const list: typeof world.events.list = async page => {
    const found = await world.events.list(page)
    // It stood still for as long as its lease lasts, and another one has taken the endpoint over.
    if (++lists === 2) {
      const now = world.clock.time() + 20_000
      await world.cursors.claim(sha256(HOOK.url), 'two', { now, until: now + 15_000, first: '' })
    }
    if (lists > 9) throw new Error('asked again and again')
    return found
  }
  const { keep, pass, servers, stop } = deliveryTo(wanted, () => 204, { ...world, events: { ...world.events, list } })
  await settled()

  await keep('a')
  await settled()
  await keep('b', 'server_departed')
  await pass(3000)
  await stop()

  expect([lists, servers()]).toEqual([2, []])
})

test('a delivery that could not be recorded is not repeated by the same process', async () => {
  const world = createWorld()
  let away = false
  const advance: CursorStore['advance'] = (...all) => {
    if (away) throw new Error('away')
    return memory.advance(...all)
  }
  const memory = world.cursors
  const { keep, pass, servers, stop } = deliveryTo([HOOK], () => 204, { ...world, cursors: { ...memory, advance } })
  await settled()

  away = true
  await keep('a')
  await pass(3000)
  away = false
  await pass(6000)
  const over = { now: world.clock.time() + 20_000, until: 0, first: '' }
  const known = await memory.claim(sha256(HOOK.url), 'nobody', over)
  await stop()
  const next = deliveryTo([HOOK], () => 204, world, 'two')
  await next.keep('b')
  await settled()

  expect(servers()).toEqual(['a', 'b'])
  expect(known).toBe((await world.events.list({ after: '', limit: 1 }))[0]?.id ?? 'none')
})

test('the stop waits for the message that is on its way', async () => {
  const { promise: answered, resolve: answer } = Promise.withResolvers<number>()
  const { keep, results, stop } = deliveryTo([HOOK], () => answered)
  await keep('a')
  await settled()

  let isOver = false
  const stopping = stop().then(() => {
    isOver = true
  })
  await settled()
  const early = isOver
  answer(204)
  await stopping

  expect([early, results()]).toEqual([false, ['ok']])
})

test('the stop waits for two seconds and no longer, and leaves the event to others', async () => {
  const world = createWorld()
  const first = deliveryTo([HOOK], () => new Promise<number>(() => {}), world)
  await first.keep('a')
  await settled()
  const second = deliveryTo([HOOK], () => 204, world, 'two')

  let isOver = false
  const stopping = first.stop().then(() => {
    isOver = true
  })
  await second.pass(1000)
  const early = isOver
  await second.pass(1000)
  await stopping
  await second.pass(20_000)

  expect(early).toBe(false)
  expect(second.results()).toEqual(['ok'])
})

test('nothing is retried after the stop', async () => {
  const { keep, sent, pass, stop } = deliveryTo([HOOK], () => 500)
  await keep('a')
  await settled()

  await stop()
  await pass(10_000)

  expect(sent).toHaveLength(1)
})
