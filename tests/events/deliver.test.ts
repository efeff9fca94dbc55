import { describe, expect, test } from 'bun:test'
import type { FleetEvent } from '#core/events.ts'
import type { Fact } from '#core/journal.ts'
import { createDelivery, type Endpoint } from '#events/deliver.ts'
import { isSignedBy } from '#lib/standard-webhooks.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly at: number
}

function eventOf(id: string, type: FleetEvent['type'] = 'server_registered'): FleetEvent {
  return { id, type, at: Date.UTC(2026, 0, 1), server: 'a', data: { by: 'ops' } }
}

/** A delivery to these endpoints; `answer` gives the status of each message, or throws. */
function deliveryTo(endpoints: readonly Endpoint[], answer: (sent: Sent, count: number) => number | Promise<number>) {
  const clock = fakeClock()
  const sent: Sent[] = []
  const facts: Fact[] = []
  const delivery = createDelivery({
    clock,
    random: () => 1,
    journal: { note: fact => facts.push(fact) },
    endpoints: () => endpoints,
    post: async (url, headers, body) => {
      sent.push({ url, headers, body, at: clock.now() })
      return answer(sent.at(-1) ?? { url, headers, body, at: 0 }, sent.length)
    },
  })
  return {
    sent,
    clock,
    stop: delivery.stop,
    keep: (event: FleetEvent) => delivery.subscriber({ type: 'event-kept', event }),
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
  test('is delivered as the standard says, signed where there is a secret', async () => {
    const { keep, sent, results } = deliveryTo(
      [
        { ...HOOK, secret: 'a secret' },
        { ...HOOK, url: 'http://hook/b' },
      ],
      () => 204,
    )

    keep(eventOf('one'))
    await settled()

    const [signed, plain] = sent
    expect(JSON.parse(signed?.body ?? '')).toEqual({
      type: 'server_registered',
      timestamp: '2026-01-01T00:00:00.000Z',
      data: { id: 'one', server: 'a', by: 'ops' },
    })
    const seconds = Number(signed?.headers['webhook-timestamp'])
    const message = { id: 'one', seconds, body: signed?.body ?? '' }
    expect(isSignedBy('a secret', message, signed?.headers['webhook-signature'] ?? '')).toBe(true)
    expect(plain?.headers).not.toHaveProperty('webhook-signature')
    expect(results()).toEqual(['ok', 'ok'])
  })

  test('goes only to those that asked for its type', async () => {
    const { keep, sent } = deliveryTo([{ ...HOOK, events: ['failover_initiated'] }], () => 204)

    keep(eventOf('one'))
    keep(eventOf('two', 'failover_initiated'))
    await settled()

    expect(sent.map(({ headers }) => headers['webhook-id'])).toEqual(['two'])
  })

  test('is tried eight times, with waits that double, and is then lost', async () => {
    const { keep, sent, pass, results } = deliveryTo([HOOK], (_, count) => {
      if (count % 2 === 0) throw new Error('refused')
      return 500
    })

    keep(eventOf('one'))
    await settled()
    await pass(200_000)

    expect(sent.map(({ at }) => at / 1000)).toEqual([0, 1, 3, 7, 15, 31, 63, 127])
    expect(new Set(sent.map(({ headers }) => headers['webhook-id']))).toEqual(new Set(['one']))
    expect(results()).toEqual([...Array.from({ length: 7 }, () => 'retried' as const), 'lost'])
  })

  test('that is not taken holds up those behind it, and no other endpoint', async () => {
    const other = { ...HOOK, url: 'http://hook/b' }
    const { keep, sent, pass } = deliveryTo([HOOK, other], ({ url }, count) =>
      url === HOOK.url && count < 4 ? 503 : 200,
    )

    keep(eventOf('one'))
    keep(eventOf('two'))
    await settled()
    const atOnce = sent.map(({ url, headers }) => `${url} ${headers['webhook-id']}`)
    await pass(5000)

    expect(atOnce).toEqual(['http://hook/a one', 'http://hook/b one', 'http://hook/b two'])
    expect(sent.slice(3).map(({ headers }) => headers['webhook-id'])).toEqual(['one', 'two'])
  })
})

test('a thousand events wait at most; the oldest are lost first', async () => {
  const hold = Promise.withResolvers<number>()
  const { keep, sent, results } = deliveryTo([HOOK], (_, count) => (count === 1 ? hold.promise : 200))

  for (let number = 0; number <= 1002; number++) keep(eventOf(`${number}`))
  await settled()
  expect(results()).toEqual(['lost', 'lost'])
  hold.resolve(200)
  while (sent.length < 1001) await settled()

  expect(sent.slice(0, 2).map(({ headers }) => headers['webhook-id'])).toEqual(['0', '3'])
  expect(sent.at(-1)?.headers['webhook-id']).toBe('1002')
})

test('nothing is tried again after the end', async () => {
  const { keep, sent, pass, stop } = deliveryTo([HOOK], () => 500)
  keep(eventOf('one'))
  await settled()

  stop()
  await pass(10_000)

  expect(sent).toHaveLength(1)
})
