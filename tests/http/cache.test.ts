import { describe, expect, test } from 'bun:test'
import type { ConfigInput } from '#config/schema.ts'
import { cacheWishesOf } from '#http/middleware/cache.ts'
import { cacheClearResponse } from '#wire/cache.ts'
import { type Edge, edgeOf, errorOf } from './edge.ts'

const keys: ConfigInput['auth'] = {
  mode: 'optional',
  keys: [
    { name: 'root', key: 'sk-key-of-an-admin', role: 'admin' },
    { name: 'ops', key: 'sk-key-of-an-operator', role: 'operator', tenant: 'shop' },
    { name: 'web', key: 'sk-key-of-the-web', tenant: 'shop' },
    { name: 'app', key: 'sk-key-of-the-app', tenant: 'bank' },
  ],
}
const as = (key: string) => ({ authorization: `Bearer sk-key-of-${key}` })

async function caching(): Promise<Edge> {
  return edgeOf({ auth: keys, cache: { enabled: true }, limits: { enabled: false } })
}

async function status(edge: Edge, headers: Record<string, string>, control = {}): Promise<string | null> {
  const response = await edge.chat({ headers: { ...headers, ...control } })
  await response.text()
  return response.headers.get('x-citadel-cache')
}

async function clear(edge: Edge, body?: unknown, by = 'an-admin') {
  return edge.ask('/management/cache/clear', { method: 'POST', headers: as(by), body })
}

describe('clearing the cache', () => {
  test.each([
    [undefined, ['miss', 'miss']],
    [{}, ['miss', 'miss']],
    [{ model: 'citadel-demo' }, ['miss', 'miss']],
    [{ model: 'another' }, ['hit', 'hit']],
    [{ tenant: 'shop' }, ['miss', 'hit']],
    [{ key: 'app' }, ['hit', 'miss']],
    [{ key: 'app', tenant: 'shop' }, ['hit', 'hit']],
  ] as const)('with %j forgets what is meant', async (body, expected) => {
    const edge = await caching()
    for (const key of ['the-web', 'the-app']) await status(edge, as(key))

    const response = await clear(edge, body)
    const answer = cacheClearResponse.parse(await response.json())
    const after = [await status(edge, as('the-web')), await status(edge, as('the-app'))]

    expect(after).toEqual([...expected])
    expect(answer.cleared).toBe(expected.filter(each => each === 'miss').length)
  })

  test('takes nothing that it does not know', async () => {
    const edge = await caching()

    for (const body of [{ models: 'chat' }, { model: '' }, { model: 1 }, []]) {
      expect((await errorOf(await clear(edge, body))).code).toBe('invalid_request')
    }
    expect(await errorOf(await clear(edge, '{'))).toMatchObject({ code: 'invalid_json' })
  })

  test('takes no more than other bodies may hold, nor a name that would be kept for long and is none', async () => {
    const edge = await caching()
    const deep = `{"model":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    const statuses: number[] = []
    for (const body of ['model', 'tenant', 'key'].flatMap(field =>
      [1024, 1025].map(long => ({ [field]: 'x'.repeat(long) })),
    ))
      statuses.push((await clear(edge, body)).status)

    expect(statuses).toEqual([200, 400, 200, 400, 200, 400])
    expect((await errorOf(await clear(edge, deep))).message).toContain('64 levels')
  })

  test('reaches only the own tenant, but for an administrator of the installation', async () => {
    const edge = await caching()
    for (const key of ['the-web', 'the-app']) await status(edge, as(key))
    const other = await clear(edge, { tenant: 'bank' }, 'an-operator')
    const { cleared } = cacheClearResponse.parse(await (await clear(edge, {}, 'an-operator')).json())

    expect((await errorOf(other)).code).toBe('permission_denied')
    expect(cleared).toBe(1)
    expect([await status(edge, as('the-web')), await status(edge, as('the-app'))]).toEqual(['miss', 'hit'])
  })

  test('is refused to the key of a caller', async () => {
    const edge = await caching()
    const response = await edge.ask('/management/cache/clear', { method: 'POST', headers: as('the-web') })

    expect(response.status).toBe(403)
  })
})

describe('the age of an answer', () => {
  test('is told, and it holds as long as is configured', async () => {
    const edge = await caching()
    await status(edge, {})
    await edge.pass(61_000)
    const aged = await edge.chat()
    const [young, old] = [{ 'cache-control': 'max-age=61' }, { 'cache-control': 'max-age=60' }]

    expect(aged.headers.get('age')).toBe('61')
    expect(aged.headers.get('cache-status')).toBe('citadel; hit; ttl=3539')
    expect(await status(edge, {}, young)).toBe('hit')
    expect(await status(edge, {}, old)).toBe('miss')
    await edge.pass(3_600_000)
    expect(await status(edge, {})).toBe('miss')
  })

  test('max-age=0 takes no stored answer', async () => {
    const edge = await caching()
    await status(edge, {})

    expect(await status(edge, {}, { 'cache-control': 'max-age=0' })).toBe('bypass')
  })

  test('is why a server was asked where the call wanted a younger one', async () => {
    const edge = await caching()
    const asked = async () => {
      const response = await edge.chat({ headers: { 'cache-control': 'max-age=60' } })
      await response.text()
      return response.headers.get('cache-status')
    }
    const first = await asked()
    await edge.pass(61_000)

    expect(first).toBe('citadel; fwd=uri-miss')
    expect(await asked()).toBe('citadel; fwd=request')
    expect(await asked()).toStartWith('citadel; hit')
  })
})

test.each([
  ['max-age=60, no-store', { read: false, store: false, maxAgeMs: 60_000 }],
  [' No-Cache ,only-if-cached', { read: false, store: true, onlyStored: true }],
  ['max-age = "5"', { read: true, maxAgeMs: 5000 }],
  ['max-age=1', { read: true, maxAgeMs: 1000 }],
  ['max-age=0', { read: false, store: true }],
  ['max-age=-1, max-stale', { read: true, store: true, maxAgeMs: Infinity, onlyStored: false }],
  ['max-age=5s', { read: true, maxAgeMs: Infinity }],
])('cache-control: %s asks for %j', (control, asked) => {
  for (const keyed of [false, true]) {
    const headers = new Headers({ 'cache-control': control })
    expect(cacheWishesOf(headers, keyed)).toMatchObject({ ...asked, share: !keyed })
  }
})

test('a call that is kept out of the cache was not kept out by a directive that says nothing of that', async () => {
  const edge = await caching()
  const why = async (control: string) => {
    const body = { model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }], store: true }
    const headers = { 'cache-control': control }
    const response = await edge.ask('/v1/chat/completions', { method: 'POST', headers, body })
    await response.text()
    return response.headers.get('cache-status')
  }

  expect([await why('max-age=60'), await why('no-store')]).toEqual(['citadel; fwd=bypass', 'citadel; fwd=request'])
})

test('the statistics of a tenant count its hits, and no tokens twice', async () => {
  const edge = await caching()
  for (let at = 0; at < 4; at++) await status(edge, as('the-web'))
  const stats = await (await edge.ask('/management/stats', { headers: as('an-operator') })).json()

  expect(stats.requests).toMatchObject({ ok: 1, hit: 3 })
  expect(stats.cache).toMatchObject({ hits: 3, misses: 1, hit_ratio: 0.75 })
  expect(stats.cache.saved_tokens).toBe(3 * (stats.tokens.input + stats.tokens.output))
})

test('callers without a key are told apart by their address', async () => {
  const edge = await caching()
  const from = async (address: string) => {
    const response = await edge.chat({ from: address })
    return response.headers.get('x-citadel-cache')
  }

  expect([await from('203.0.113.7'), await from('203.0.113.8'), await from('203.0.113.7')]).toEqual([
    'miss',
    'miss',
    'hit',
  ])
})

test('the metrics count hits, misses, what was saved, and what is held', async () => {
  const edge = await edgeOf({ cache: { enabled: true } })
  for (let at = 0; at < 3; at++) await (await edge.chat()).text()
  const text = await (await edge.ask('/metrics')).text()
  const metric = (name: string) => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1])
  const tokens = [...text.matchAll(/^gateway_tokens_total\{[^}]*\} (\d+)$/gm)].reduce(
    (sum, [, n]) => sum + Number(n),
    0,
  )

  expect([metric('cache_hits_total'), metric('cache_misses_total'), metric('gateway_cache_entries')]).toEqual([2, 1, 1])
  expect(metric('gateway_cache_bytes')).toBeGreaterThan(100)
  expect(metric('gateway_saved_tokens_total')).toBe(2 * tokens)
})
