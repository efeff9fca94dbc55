import { describe, expect, test } from 'bun:test'
import type { ConfigInput } from '#config/schema.ts'
import { settled } from '#tests/support/clock.ts'
import { type Asking, type Edge, edgeOf, errorOf } from './edge.ts'

const servers: ConfigInput['servers'] = [
  { id: 'one', kind: 'demo' },
  { id: 'two', kind: 'demo' },
]
const on = (server: string) => [{ server, model: 'citadel-demo' }]
const models: ConfigInput['models'] = {
  small: { targets: on('one'), class: 'lightweight' },
  large: { targets: on('two'), class: 'heavyweight', fallbacks: ['small'] },
  larger: { targets: on('two'), class: 'heavyweight' },
}
const keys = [
  { name: 'a', key: 'sk-key-of-an-application', tenant: 'shop' },
  { name: 'b', key: 'sk-key-of-another-one', tenant: 'shop' },
  { name: 'c', key: 'sk-key-of-a-third-one', tenant: 'lab' },
]
const as = (name: string): Asking => ({
  headers: { authorization: `Bearer ${keys.find(key => key.name === name)?.key}` },
})
/** How long the demonstration model takes for a word. */
const WORD_MS = 25
const NO_RATE = { requests_per_minute: 0 }

function limited(limits: ConfigInput['limits'], more: ConfigInput = {}): Promise<Edge> {
  return edgeOf({ servers, models, limits: { global: NO_RATE, per_client: NO_RATE, ...limits }, ...more })
}

const question = (model = 'small', more: object = {}) => ({
  model,
  messages: [{ role: 'user', content: 'Hi' }],
  ...more,
})

async function statuses(edge: Edge, times: number, asking: Asking = {}): Promise<number[]> {
  const all: number[] = []
  for (let time = 0; time < times; time++) all.push((await edge.chat({ body: question(), ...asking })).status)
  return all
}

/** A stream that has begun; time stands still until somebody lets it pass. */
async function opened(edge: Edge, body: object): Promise<Response> {
  let begun = false
  const answer = edge.chat({ body: { ...body, stream: true } }).finally(() => {
    begun = true
  })
  await settled()
  while (!begun) await edge.pass(WORD_MS)
  return answer
}

async function finish(edge: Edge, stream: Response | undefined): Promise<void> {
  const text = stream?.text()
  for (let word = 0; word < 60; word++) await edge.pass(WORD_MS)
  await text
}

describe('requests at once', () => {
  test('are counted until the whole answer is sent', async () => {
    const edge = await limited({ per_client: { ...NO_RATE, concurrent_requests: 1 } })
    const first = await opened(edge, question('small'))

    const second = await edge.chat({ body: question() })
    await finish(edge, first)
    const third = await edge.chat({ body: question() })

    expect([first.status, second.status, third.status]).toEqual([200, 429, 200])
    expect(await errorOf(second)).toMatchObject({
      code: 'concurrency_limit_exceeded',
      message: 'Too many requests at once: the limit is 1 (address). Please try again in 1s.',
    })
    expect(second.headers.get('retry-after-ms')).toBe('1000')
  })

  test('that fail or are left give their place back', async () => {
    const edge = await limited({ global: { ...NO_RATE, concurrent_requests: 1 } })

    for (let time = 0; time < 3; time++) {
      expect((await edge.chat({ body: 'not json' })).status).toBe(400)
      expect((await edge.chat({ body: question('unknown') })).status).toBe(404)
      const left = await opened(edge, question('small'))
      await left.body?.cancel()
    }

    expect(await statuses(edge, 3)).toEqual([200, 200, 200])
  })
})

describe('tokens', () => {
  const limits = { global: { ...NO_RATE, tokens_per_minute: 6000 } }

  test('are held as they may be needed, and told of', async () => {
    const edge = await limited(limits)

    const response = await edge.chat({ body: question('small', { max_tokens: 999 }) })

    expect(response.headers.get('x-ratelimit-limit-tokens')).toBe('6000')
    // "Hi" is one token, as far as its length tells.
    expect(response.headers.get('x-ratelimit-remaining-tokens')).toBe('5000')
  })

  test('that were not used come back when the answer is whole', async () => {
    const edge = await limited(limits)

    const first = await edge.chat({ body: question('small', { max_tokens: 5000 }) })
    const { usage } = (await first.json()) as { readonly usage: { readonly total_tokens: number } }
    const second = await edge.chat({ body: question('small', { max_tokens: 999 }) })

    expect(second.status).toBe(200)
    expect(Number(second.headers.get('x-ratelimit-remaining-tokens'))).toBe(5000 - usage.total_tokens)
  })

  test('that cannot be had now are refused with the time when they can', async () => {
    const edge = await limited(limits)
    const stream = await opened(edge, question('small', { max_tokens: 5499 }))
    await edge.pass(100 - edge.clock.now())

    const refused = await edge.chat({ body: question('small', { max_tokens: 999 }) })
    await edge.pass(4899)
    const early = await edge.chat({ body: question('small', { max_tokens: 999 }) })
    await edge.pass(1)
    const due = await edge.chat({ body: question('small', { max_tokens: 999 }) })

    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after-ms')).toBe('4900')
    expect(refused.headers.get('x-ratelimit-remaining-tokens')).toBe('510')
    expect(refused.headers.get('x-ratelimit-reset-tokens')).toBe('55s')
    expect(await errorOf(refused)).toMatchObject({ code: 'token_limit_exceeded', type: 'rate_limit_error' })
    expect([early.status, due.status]).toEqual([429, 200])
    await stream.body?.cancel()
  })

  test('beyond what the limit ever gives are refused without a time', async () => {
    const edge = await limited(limits)

    const refused = await edge.chat({ body: question('small', { max_tokens: 6000 }) })

    expect(refused.status).toBe(429)
    expect(refused.headers.get('x-should-retry')).toBe('false')
    expect(refused.headers.has('retry-after')).toBe(false)
    expect((await errorOf(refused)).message).toContain('lower max_tokens')
  })

  test('that an answer may need without saying so never exclude it', async () => {
    const edge = await limited({ global: { ...NO_RATE, tokens_per_minute: 100 } })

    expect((await edge.chat({ body: question() })).status).toBe(200)
  })

  test('of a refused or failed call are given back', async () => {
    const edge = await limited({ ...limits, per_model: { small: { requests_per_minute: 1 } } })
    await edge.chat({ body: question('small', { max_tokens: 1 }) })
    for (let time = 0; time < 5; time++) await edge.chat({ body: question('small', { max_tokens: 5000 }) })

    const response = await edge.chat({ body: question('larger', { max_tokens: 999 }) })

    expect(Number(response.headers.get('x-ratelimit-remaining-tokens'))).toBeGreaterThan(4900)
  })
})

describe('the limits of a model', () => {
  test('are shared by all callers', async () => {
    const edge = await limited({ per_model: { small: { requests_per_minute: 2 } } })

    const all = [await statuses(edge, 2, { from: '203.0.113.1' }), await statuses(edge, 1, { from: '203.0.113.2' })]
    const other = await edge.chat({ body: question('larger') })

    expect(all.flat()).toEqual([200, 200, 429])
    expect(other.status).toBe(200)
  })

  test('are told of where they are tighter than the caller’s own', async () => {
    const edge = await limited({
      per_client: { requests_per_minute: 100 },
      per_model: { small: { requests_per_minute: 10 } },
    })

    const { headers } = await edge.chat({ body: question() })

    expect(headers.get('x-ratelimit-limit-requests')).toBe('10')
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('9')
  })

  test('send a call on to its fallback, whose own limits then count', async () => {
    const edge = await limited({
      per_model: { large: { requests_per_minute: 1 }, small: { requests_per_minute: 1 } },
    })

    const answers = []
    for (let time = 0; time < 3; time++) answers.push(await edge.chat({ body: question('large') }))

    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429])
    expect(answers.map(({ headers }) => headers.get('x-citadel-model'))).toEqual(['large', 'small', null])
    const [, second] = answers
    const report = await edge.ask(`/v1/requests/${second?.headers.get('x-request-id')}`)
    expect(await report.json()).toMatchObject({
      outcome: 'ok',
      skipped: [{ model: 'large', code: 'rate_limit_exceeded' }],
    })
  })

  test('tell the shortest wait when every model is limited', async () => {
    const edge = await limited({
      per_model: { large: { requests_per_minute: 1 }, small: { requests_per_minute: 6, burst: 1 } },
    })
    await edge.chat({ body: question('large') })
    await edge.chat({ body: question('large') })

    const refused = await edge.chat({ body: question('large') })

    expect(refused.headers.get('retry-after-ms')).toBe('10000')
    expect((await errorOf(refused)).message).toContain('6 requests per minute (model)')
  })

  test('are counted by the scope that refused', async () => {
    const edge = await limited({ per_model: { small: { requests_per_minute: 1 } } })
    await statuses(edge, 3)

    expect(await (await edge.ask('/metrics')).text()).toContain('gateway_rate_limited_total{scope="model"} 2')
  })
})

describe('the limits of a class', () => {
  test('are each caller’s, at each model of the class', async () => {
    const edge = await limited(
      { per_class: { heavyweight: { requests_per_minute: 1 } } },
      { gateway: { demo: true, discover: false, fallback: { enabled: false } } },
    )
    const ask = async (model: string, from: string) => (await edge.chat({ body: question(model), from })).status

    expect([await ask('large', '203.0.113.1'), await ask('large', '203.0.113.1')]).toEqual([200, 429])
    expect([await ask('larger', '203.0.113.1'), await ask('larger', '203.0.113.1')]).toEqual([200, 429])
    expect([await ask('large', '203.0.113.2'), await ask('small', '203.0.113.1')]).toEqual([200, 200])
  })

  test('hold also for requests at once', async () => {
    const edge = await limited({ per_class: { lightweight: { concurrent_requests: 2 } } })
    const open = [await opened(edge, question('small')), await opened(edge, question('small'))]

    const refused = await edge.chat({ body: question() })
    await finish(edge, open[0])

    expect(await errorOf(refused)).toMatchObject({ code: 'concurrency_limit_exceeded' })
    expect((await edge.chat({ body: question() })).status).toBe(200)
    await open[1]?.body?.cancel()
  })
})

describe('what was let in by one limit and is refused by another one', () => {
  const slow = { requests_per_minute: 6, burst: 2 }

  test.each<[string, ConfigInput['limits']]>([
    ['tokens', { per_client: { ...slow, tokens_per_minute: 6000 } }],
    ['its model', { per_client: slow, per_model: { small: { requests_per_minute: 12, burst: 1 } } }],
    ['its end user', { per_client: slow, per_user: { requests_per_minute: 12, burst: 1 } }],
  ])('is told when both let it pass: %s', async (_, limits) => {
    const edge = await limited(limits)
    const stream = await opened(edge, question('small', { max_tokens: 5499, user: 'u1' }))
    const ask = () => edge.chat({ body: question('small', { max_tokens: 999, user: 'u1' }) })

    const refused = await ask()
    const since = edge.clock.now()
    await edge.pass(9999 - since)
    const early = await ask()
    await edge.pass(10_000 - edge.clock.now())
    const due = await ask()

    expect([refused.status, refused.headers.get('retry-after-ms')]).toEqual([429, String(10_000 - since)])
    expect([early.status, due.status]).toEqual([429, 200])
    await stream.body?.cancel()
  })
})

describe('further scopes', () => {
  test('a tenant’s keys share its limit', async () => {
    const edge = await limited({ per_tenant: { shop: { requests_per_minute: 2 } } }, { auth: { keys } })

    expect([...(await statuses(edge, 1, as('a'))), ...(await statuses(edge, 2, as('b')))]).toEqual([200, 200, 429])
    expect(await statuses(edge, 3, as('c'))).toEqual([200, 200, 200])
  })

  test('a user of a key has a limit within it, by either name of the field', async () => {
    const edge = await limited({ per_user: { requests_per_minute: 1 } }, { auth: { keys } })
    const ask = async (name: string, user: object) =>
      (await edge.chat({ ...as(name), body: question('small', user) })).status

    expect([await ask('a', { user: 'u1' }), await ask('a', { safety_identifier: 'u1' })]).toEqual([200, 429])
    expect([await ask('a', { user: 'u2' }), await ask('b', { user: 'u1' }), await ask('a', {})]).toEqual([
      200, 200, 200,
    ])
  })

  test('what a user has left is told where it is less than what is left to all', async () => {
    const edge = await limited({
      ...{ global: { requests_per_minute: 10 }, per_user: { requests_per_minute: 4 } },
      per_model: { large: { requests_per_minute: 3 }, small: { requests_per_minute: 20 } },
    })
    const told = async (model: string, user: object) => {
      const { headers } = await edge.chat({ body: question(model, user) })
      return ['limit', 'remaining'].map(name => headers.get(`x-ratelimit-${name}-requests`))
    }

    expect(await told('small', {})).toEqual(['10', '9'])
    expect(await told('small', { user: 'u1' })).toEqual(['4', '3'])
    expect(await told('large', { user: 'u1' })).toEqual(['3', '2'])
  })

  test('a user’s requests at once are given back', async () => {
    const edge = await limited({ per_user: { concurrent_requests: 1 } })
    const stream = await opened(edge, question('small', { user: 'u1' }))

    const refused = await edge.chat({ body: question('small', { user: 'u1' }) })
    await finish(edge, stream)

    expect(refused.status).toBe(429)
    expect((await edge.chat({ body: question('small', { user: 'u1' }) })).status).toBe(200)
  })

  test('an address has a limit whatever its keys', async () => {
    const edge = await limited({ per_address: { requests_per_minute: 2 } }, { auth: { keys } })

    expect([...(await statuses(edge, 2, as('a'))), ...(await statuses(edge, 1, as('b')))]).toEqual([200, 200, 429])
    expect(await statuses(edge, 1, { ...as('a'), from: '203.0.113.99' })).toEqual([200])
  })

  test('an hour and a day have limits beside the minute’s', async () => {
    const edge = await limited({ per_client: { requests_per_minute: 2, requests_per_hour: 3 } })

    const first = await statuses(edge, 3)
    await edge.pass(60_000)
    const then = await edge.chat({ body: question() })
    const refused = await edge.chat({ body: question() })

    expect([...first, then.status, refused.status]).toEqual([200, 200, 429, 200, 429])
    expect((await errorOf(refused)).message).toContain('3 requests per hour')
    expect(refused.headers.get('x-ratelimit-reset-requests')).toBe('59m0s')
  })
})

test('a key whose limit is 0 has none, one without has that of every client', async () => {
  const edge = await limited(
    { per_client: { requests_per_minute: 1 } },
    { auth: { keys: keys.map(key => (key.name === 'a' ? { ...key, limits: { requests_per_minute: 0 } } : key)) } },
  )

  expect(await statuses(edge, 3, as('a'))).toEqual([200, 200, 200])
  expect(await statuses(edge, 2, as('b'))).toEqual([200, 429])
})
