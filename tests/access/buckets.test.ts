import { describe, expect, test } from 'bun:test'
import { createBuckets, type Limits } from '#access/buckets.ts'
import { ANONYMOUS } from '#access/keys.ts'
import type { Caller } from '#core/caller.ts'
import { LIMITS } from '#wire/keys.ts'

const ADDRESS = '203.0.113.7'
const limits: Limits = {
  enabled: true,
  global: { requests_per_minute: 1000, burst: 100 },
  per_client: { requests_per_minute: 60, burst: null },
  per_tenant: {},
  per_user: {},
  per_address: {},
  per_model: {},
  per_class: {},
}
const web: Caller = { ...ANONYMOUS, id: 'web', role: 'caller', limits: { requests_per_minute: 600 } }
const chat = { name: 'chat', aliases: ['gpt-4o'], class: 'heavyweight' as const, targets: [{ id: 's1/chat' }] }
const asking = { caller: ANONYMOUS, address: ADDRESS, user: null }
const keysOf = (buckets: readonly { readonly key: string }[] | undefined) => buckets?.map(({ key }) => key)
const perMinute = (key: string, scope: string, limit: number, burst = limit) => ({
  key: `${key}:requests/minute${burst === limit ? '' : `~${(burst / limit) * 60_000}`}`,
  scope,
  unit: 'requests',
  limit,
  periodMs: 60_000,
  burst,
})

describe('the buckets of a request', () => {
  test('are the global one and its key’s, with the key’s own limit', () => {
    expect(createBuckets(limits).ofCaller(web, ADDRESS)).toMatchObject([
      perMinute('global', 'global', 1000, 100),
      perMinute('key:web', 'key', 600),
    ])
  })

  test.each(LIMITS)('are one for %s', name => {
    const buckets = createBuckets({ ...limits, global: { [name]: 5 }, per_client: {} })

    const all = [...buckets.ofCaller(ANONYMOUS, ADDRESS), ...(buckets.ofCall(asking)?.tokens ?? [])]

    expect(all).toMatchObject([{ scope: 'global', limit: 5 }])
  })

  test('are the usual ones for a key without a limit of its own', () => {
    const buckets = createBuckets(limits).ofCaller({ ...web, limits: null }, ADDRESS)

    expect(buckets[1]).toMatchObject(perMinute('key:web', 'key', 60))
  })

  test('are the usual ones beside what a key limits itself', () => {
    const own = { requests_per_minute: null, requests_per_day: 500, burst: 7 }
    const buckets = createBuckets(limits).ofCaller({ ...web, limits: own }, ADDRESS)

    expect(buckets.slice(1)).toMatchObject([
      perMinute('key:web', 'key', 60, 7),
      { key: 'key:web:requests/day', limit: 500, periodMs: 86_400_000, burst: 500 },
    ])
  })

  test('have the usual burst with the usual limit only', () => {
    const bursty = createBuckets({ ...limits, per_client: { requests_per_minute: 60, burst: 7 } })
    const burstOf = (own: Caller['limits']) => bursty.ofCaller({ ...web, limits: own }, ADDRESS)[1]?.burst

    expect([burstOf(null), burstOf({ requests_per_day: 500 }), burstOf({ requests_per_minute: 600 })]).toEqual([
      7, 7, 600,
    ])
  })

  test('limit also to one at once', () => {
    const one = { requests_per_minute: 1, tokens_per_minute: 1, concurrent_requests: 1 }
    const buckets = createBuckets({ ...limits, per_client: one })
    const caller = { ...web, limits: null }
    const tokens = buckets.ofCall({ caller, address: ADDRESS, user: null })?.tokens

    expect([...buckets.ofCaller(caller, ADDRESS).slice(1), ...(tokens ?? [])].map(({ limit }) => limit)).toEqual([
      1, 1, 1,
    ])
  })

  test('are none of its own for a key whose limit is 0', () => {
    const buckets = createBuckets(limits).ofCaller({ ...web, limits: { requests_per_minute: 0 } }, ADDRESS)

    expect(keysOf(buckets)).toEqual(['global:requests/minute~6000'])
  })

  test('are the same ones under another limit, unless they fill in another time', () => {
    const keyOf = (requests_per_minute: number, burst: number | null) =>
      createBuckets({ ...limits, global: { requests_per_minute, burst } }).ofCaller(ANONYMOUS, ADDRESS)[0]?.key
    const [plain, bursty] = ['global:requests/minute', 'global:requests/minute~6000']

    expect([keyOf(10, null), keyOf(60, 60), keyOf(600, null)]).toEqual([plain, plain, plain])
    expect([keyOf(100, 10), keyOf(1000, 100)]).toEqual([bursty, bursty])
  })

  test('are the global one and its address’s without a key', () => {
    const [, own] = createBuckets(limits).ofCaller(ANONYMOUS, ADDRESS)

    expect(own).toMatchObject(perMinute('client:203.0.113.7', 'address', 60))
  })

  test('are shared within a /64 of IPv6', () => {
    const { ofCaller } = createBuckets(limits)
    const keys = ['2001:db8::1', '2001:db8::ffff:1', '2001:db8:0:1::1'].map(from => ofCaller(ANONYMOUS, from)[1]?.key)

    expect(keys).toEqual(
      ['2001:db8::/64', '2001:db8::/64', '2001:db8:0:1::/64'].map(network => `client:${network}:requests/minute`),
    )
  })

  test('are those of every scope, requests and places before tokens', () => {
    const all = { requests_per_minute: 10, tokens_per_hour: 1000, concurrent_requests: 3 }
    const { ofCaller, ofCall } = createBuckets({
      ...limits,
      ...{ global: all, per_client: all, per_address: all, per_user: all, per_tenant: { '*': all } },
    })
    const asking = { caller: { ...web, limits: null, tenant: 'shop' }, address: ADDRESS, user: 'alice' }

    const before = keysOf(ofCaller(asking.caller, ADDRESS))
    const call = ofCall(asking)

    const names = ['global', 'tenant:shop', 'key:web', `address:${ADDRESS}`]
    expect(before).toEqual(names.flatMap(name => [`${name}:requests/minute`, `${name}:concurrent`]))
    expect(keysOf(call?.user)).toEqual(['user:key:web:alice:requests/minute', 'user:key:web:alice:concurrent'])
    expect(keysOf(call?.tokens)).toEqual([...names, 'user:key:web:alice'].map(name => `${name}:tokens/hour`))
  })

  test('of a tenant are its own, else those of all others', () => {
    const { ofCaller } = createBuckets({
      ...limits,
      per_tenant: { shop: { requests_per_minute: 5 }, '*': { requests_per_minute: 1 } },
    })
    const limitOf = (tenant: string) => ofCaller({ ...web, tenant }, ADDRESS)[1]?.limit

    expect(['shop', 'other', 'constructor'].map(limitOf)).toEqual([5, 1, 1])
  })

  test('of a user are kept apart by key, and found again however long the name is', () => {
    const { ofCall } = createBuckets({ ...limits, per_user: { requests_per_minute: 5 } })
    const keyOf = (id: string, user: string) => ofCall({ caller: { ...web, id }, address: ADDRESS, user })?.user[0]?.key

    expect(keyOf('a', 'alice')).not.toBe(keyOf('b', 'alice'))
    expect(keyOf('a', 'x'.repeat(5000))).toBe(keyOf('a', 'x'.repeat(5000)))
    expect(keyOf('a', 'x'.repeat(5000))?.length).toBeLessThan(120)
    expect(keyOf('a', 'x'.repeat(5000))).not.toBe(keyOf('a', 'x'.repeat(5001)))
  })

  test('of a model are everybody’s, by any of its names; of a class each caller’s for each model', () => {
    const { ofCall } = createBuckets({
      ...limits,
      per_model: { 'gpt-4o': { requests_per_minute: 10, tokens_per_minute: 100 } },
      per_class: { heavyweight: { concurrent_requests: 2 } },
    })
    const call = ofCall({ caller: web, address: ADDRESS, user: null })
    const stranger = ofCall({ caller: ANONYMOUS, address: ADDRESS, user: null })

    expect(keysOf(call?.model(chat))).toEqual([
      ...['model:gpt-4o:requests/minute', 'model:gpt-4o:tokens/minute'],
      'class:key:web:chat:concurrent',
    ])
    expect(keysOf(stranger?.model({ ...chat, aliases: [] }))).toEqual([`class:client:${ADDRESS}:chat:concurrent`])
    expect(call?.model({ name: 'small', aliases: [], class: 'lightweight', targets: [] })).toEqual([])
  })

  test('of a model are those of all of its names', () => {
    const one = { requests_per_minute: 1 }
    const { ofCall } = createBuckets({ ...limits, per_model: { 's1/chat': one, chat: one } })

    const buckets = ofCall({ caller: web, address: ADDRESS, user: null })?.model(chat)

    expect(keysOf(buckets)).toEqual(['model:chat:requests/minute', 'model:s1/chat:requests/minute'])
  })

  test('of a model whose names are alike are taken from once', () => {
    const { ofCall } = createBuckets({ ...limits, per_model: { 's1/chat': { requests_per_minute: 1 } } })
    const model = { ...chat, name: 's1/chat', aliases: ['s1/chat'] }

    const buckets = ofCall({ caller: web, address: ADDRESS, user: null })?.model(model)

    expect(keysOf(buckets)).toEqual(['model:s1/chat:requests/minute'])
  })

  test('are the same objects each time', () => {
    const { ofCaller } = createBuckets(limits)

    expect(ofCaller(web, 'a')).toBe(ofCaller(web, 'b'))
    expect(ofCaller(ANONYMOUS, ADDRESS)).toBe(ofCaller(ANONYMOUS, ADDRESS))
    expect(ofCaller(ANONYMOUS, ADDRESS)[0]).toBe(ofCaller(web, 'a')[0])
  })

  test('are none where limits are off or zero', () => {
    const zero = { requests_per_minute: 0, burst: null }
    const off = createBuckets({ ...limits, enabled: false })
    const asking = { caller: web, address: ADDRESS, user: 'alice' }

    expect(off.ofCaller(web, 'a')).toEqual([])
    expect(off.ofCall(asking)).toBeNull()
    expect(createBuckets({ ...limits, global: zero, per_client: zero }).ofCaller(ANONYMOUS, 'a')).toEqual([])
    expect(createBuckets({ ...limits, per_client: zero }).ofCaller(ANONYMOUS, 'a')).toHaveLength(1)
    expect(createBuckets(limits).ofCall(asking)).toBeNull()
  })
})
