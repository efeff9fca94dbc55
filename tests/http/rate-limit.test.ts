import { describe, expect, test } from 'bun:test'
import type { ConfigInput } from '#config/schema.ts'
import { type Asking, type Edge, edgeOf, errorOf } from './edge.ts'

const KEY = 'sk-key-of-an-application'
const OTHER_KEY = 'sk-key-of-another-one'
const withKey = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })

/** Asks so often, and gives the statuses. */
async function burst(edge: Edge, times: number, asking?: Asking): Promise<number[]> {
  const statuses: number[] = []
  for (let time = 0; time < times; time++) statuses.push((await edge.chat(asking)).status)
  return statuses
}

/** How many of so many requests at one instant pass. */
async function passed(edge: Edge, times: number, asking?: Asking): Promise<number> {
  return (await burst(edge, times, asking)).filter(status => status === 200).length
}

describe('without any configuration', () => {
  test('a client may ask a hundred times a minute', async () => {
    const edge = await edgeOf()

    expect(await passed(edge, 105)).toBe(100)
  })

  test('each answer says what is left', async () => {
    const edge = await edgeOf()

    const left: unknown[] = []
    for (let time = 0; time < 3; time++) {
      const { headers } = await edge.chat()
      left.push([headers.get('x-ratelimit-limit-requests'), headers.get('x-ratelimit-remaining-requests')])
    }

    expect(left).toEqual([
      ['100', '99'],
      ['100', '98'],
      ['100', '97'],
    ])
  })

  test('an answer tells when all is back only where headers are full', async () => {
    const [short, full] = [await edgeOf(), await edgeOf({ gateway: { demo: true, headers: 'full' } })]

    expect((await short.chat()).headers.has('x-ratelimit-reset-requests')).toBe(false)
    expect((await full.chat()).headers.get('x-ratelimit-reset-requests')).toBe('600ms')
  })

  test('lists and pages are not counted', async () => {
    const edge = await edgeOf({ limits: { per_client: { requests_per_minute: 1 } } })

    for (const path of ['/v1/models', '/health', '/metrics', '/docs', '/v1/models', '/health'])
      expect((await edge.ask(path)).status).toBe(200)
    expect((await edge.chat()).status).toBe(200)
  })
})

describe('a request too many', () => {
  test('is told in the form of OpenAI, with all headers', async () => {
    const edge = await edgeOf()
    await burst(edge, 100)

    const response = await edge.chat()

    expect(response.status).toBe(429)
    expect(response.headers.get('retry-after')).toBe('1')
    expect(response.headers.get('retry-after-ms')).toBe('600')
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('100')
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('0')
    expect(response.headers.get('x-ratelimit-reset-requests')).toBe('1m0s')
    expect(await errorOf(response)).toEqual({
      message: 'Rate limit reached: 100 requests per minute (address). Please try again in 0.6s.',
      type: 'rate_limit_error',
      param: null,
      code: 'rate_limit_exceeded',
    })
  })

  test.each([1, 7, 60, 100, 999])('passes exactly when it was told, at %p a minute', async requests_per_minute => {
    const edge = await edgeOf({
      limits: { global: { requests_per_minute: 0 }, per_client: { requests_per_minute, burst: 1 } },
    })
    await edge.chat()
    const wait = Number((await edge.chat()).headers.get('retry-after-ms'))

    await edge.pass(wait - 1)
    const early = await edge.chat()
    await edge.pass(1)
    const due = await edge.chat()

    expect(early.status).toBe(429)
    expect(early.headers.get('retry-after-ms')).toBe('1')
    expect(due.status).not.toBe(429)
  })

  test('costs nothing: who keeps asking waits no longer', async () => {
    const edge = await edgeOf({ limits: { per_client: { requests_per_minute: 60, burst: 1 } } })
    await edge.chat()

    await burst(edge, 50)
    const refused = await edge.chat()

    expect(refused.headers.get('retry-after-ms')).toBe('1000')
  })

  test('is refused before its body is read', async () => {
    const edge = await edgeOf({ limits: { per_client: { requests_per_minute: 1 } } })
    await edge.chat()

    const response = await edge.chat({ body: 'not json' })

    expect(response.status).toBe(429)
  })

  test('is counted by the limit that refused it', async () => {
    const edge = await edgeOf({ limits: { per_client: { requests_per_minute: 1 } } })
    await burst(edge, 3)

    expect(await (await edge.ask('/metrics')).text()).toContain('gateway_rate_limited_total{scope="address"} 2')
  })
})

describe('who counts as one client', () => {
  const limits: ConfigInput['limits'] = { global: { requests_per_minute: 0 }, per_client: { requests_per_minute: 1 } }

  test('is each IPv4 address by itself', async () => {
    const edge = await edgeOf({ limits })

    expect(await passed(edge, 2, { from: '203.0.113.1' })).toBe(1)
    expect(await passed(edge, 2, { from: '203.0.113.2' })).toBe(1)
  })

  test('is the /64 of an IPv6 address', async () => {
    const edge = await edgeOf({ limits })

    expect(await passed(edge, 1, { from: '2001:db8:1:2::1' })).toBe(1)
    expect(await passed(edge, 1, { from: '2001:db8:1:2:ffff:ffff:ffff:ffff' })).toBe(0)
    expect(await passed(edge, 1, { from: '2001:db8:1:3::1' })).toBe(1)
  })

  test('is the same IPv4 address however the socket writes it', async () => {
    const edge = await edgeOf({ limits })

    expect(await passed(edge, 1, { from: '203.0.113.1' })).toBe(1)
    expect(await passed(edge, 1, { from: '::ffff:203.0.113.1' })).toBe(0)
  })

  test('is a key, wherever it is used', async () => {
    const edge = await edgeOf({
      limits,
      auth: {
        keys: [
          { name: 'a', key: KEY },
          { name: 'b', key: OTHER_KEY },
        ],
      },
    })

    expect(await passed(edge, 1, { ...withKey(KEY), from: '203.0.113.1' })).toBe(1)
    expect(await passed(edge, 1, { ...withKey(KEY), from: '203.0.113.2' })).toBe(0)
    expect(await passed(edge, 1, { ...withKey(OTHER_KEY), from: '203.0.113.1' })).toBe(1)
  })

  test('may have a limit of its own', async () => {
    const edge = await edgeOf({
      limits,
      auth: { keys: [{ name: 'a', key: KEY, limits: { requests_per_minute: 3 } }] },
    })

    expect(await passed(edge, 5, withKey(KEY))).toBe(3)
  })

  test('may have a burst of its own', async () => {
    const edge = await edgeOf({
      limits,
      auth: { keys: [{ name: 'a', key: KEY, limits: { requests_per_minute: 60, burst: 2 } }] },
    })

    expect(await passed(edge, 5, withKey(KEY))).toBe(2)
  })

  test('is who a trusted proxy says, and nobody else’s word is taken', async () => {
    const edge = await edgeOf({ limits, service: { trusted_proxies: ['10.0.0.0/8'] } })
    const forwarded = (value: string, from: string) => ({ headers: { 'x-forwarded-for': value }, from })

    expect(await passed(edge, 1, forwarded('198.51.100.1', '10.0.0.1'))).toBe(1)
    expect(await passed(edge, 1, forwarded('198.51.100.1', '10.0.0.2'))).toBe(0)
    expect(await passed(edge, 1, forwarded('198.51.100.2', '10.0.0.1'))).toBe(1)
    // What stands left of the last hop was written by the client itself.
    expect(await passed(edge, 1, forwarded('192.0.2.9, 198.51.100.1', '10.0.0.1'))).toBe(0)
    // A stranger that claims another address stays who it is.
    expect(await passed(edge, 1, forwarded('192.0.2.1', '203.0.113.9'))).toBe(1)
    expect(await passed(edge, 1, forwarded('192.0.2.2', '203.0.113.9'))).toBe(0)
  })

  test('cannot be changed by a header where no proxy is trusted', async () => {
    const edge = await edgeOf({ limits })
    const headers = (value: string) => ({
      headers: { 'x-forwarded-for': value, forwarded: `for=${value}`, 'x-real-ip': value },
    })

    expect(await passed(edge, 1, headers('192.0.2.1'))).toBe(1)
    expect(await passed(edge, 1, headers('192.0.2.2'))).toBe(0)
  })
})

describe('the global limit', () => {
  test('holds over all clients, with a burst of a hundred by default', async () => {
    const edge = await edgeOf()
    const statuses: number[] = []

    for (let client = 0; client < 110; client++) {
      statuses.push((await edge.chat({ from: `203.0.113.${client}` })).status)
    }

    expect(statuses.filter(status => status === 200)).toHaveLength(100)
  })

  test('is named in the message of the refusal', async () => {
    const edge = await edgeOf({ limits: { global: { requests_per_minute: 6, burst: 1 } } })
    await edge.chat({ from: '203.0.113.1' })

    const response = await edge.chat({ from: '203.0.113.2' })

    expect((await errorOf(response)).message).toContain('(global)')
    expect(response.headers.get('retry-after-ms')).toBe('10000')
  })

  test('refused takes nothing from the client’s own', async () => {
    const edge = await edgeOf({
      limits: { global: { requests_per_minute: 60, burst: 1 }, per_client: { requests_per_minute: 2 } },
    })
    await edge.chat({ from: '203.0.113.1' })
    await burst(edge, 5, { from: '203.0.113.2' })
    await edge.pass(1000)

    const { headers } = await edge.chat({ from: '203.0.113.2' })

    // Of a burst of one the global limit has none left either; the next refusal is its own, not the client's.
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('0')
    await edge.pass(1000)
    expect((await edge.chat({ from: '203.0.113.2' })).status).toBe(200)
  })

  test('of a minute is kept over a minute: burst plus rate, never more', async () => {
    const edge = await edgeOf({
      limits: { global: { requests_per_minute: 60, burst: 10 }, per_client: { requests_per_minute: 0 } },
    })
    let admitted = 0

    for (let second = 0; second <= 60; second++) {
      admitted += await passed(edge, 3)
      await edge.pass(1000)
    }

    expect(admitted).toBe(10 + 60)
  })
})

test('no limit holds where limits are off, and no answer speaks of one', async () => {
  const edge = await edgeOf({ limits: { enabled: false } })

  expect(await passed(edge, 300)).toBe(300)
  expect((await edge.chat()).headers.has('x-ratelimit-limit-requests')).toBe(false)
})

test('a limit that a reload brings holds from then on, and nobody is forgotten', async () => {
  const edge = await edgeOf({ limits: { per_client: { requests_per_minute: 5 } } })
  await burst(edge, 5)
  const { configFrom } = await import('#src/index.ts')

  edge.gateway.reload(
    configFrom({ gateway: { demo: true, discover: false }, limits: { per_client: { requests_per_minute: 5 } } }),
  )

  expect((await edge.chat()).status).toBe(429)
})
