import { describe, expect, test } from 'bun:test'
import { createBuckets, type RequestLimits } from '#access/buckets.ts'
import { ANONYMOUS } from '#access/keys.ts'

const limits: RequestLimits = {
  enabled: true,
  global: { requests_per_minute: 1000, burst: 100 },
  per_client: { requests_per_minute: 60, burst: null },
}
const web = { ...ANONYMOUS, id: 'web', role: 'caller' as const, requestsPerMinute: 600 }

describe('the buckets of a request', () => {
  test('are the global one and its key’s, with the key’s own limit', () => {
    expect(createBuckets(limits)(web, '203.0.113.7')).toEqual([
      { key: 'global', scope: 'global', perMinute: 1000, burst: 100 },
      { key: 'key:web', scope: 'key', perMinute: 600, burst: 600 },
    ])
  })

  test('are the usual ones for a key without a limit of its own', () => {
    const [, own] = createBuckets(limits)({ ...web, requestsPerMinute: null }, '203.0.113.7')

    expect(own).toEqual({ key: 'key:web', scope: 'key', perMinute: 60, burst: 60 })
  })

  test('are the global one and its address’s without a key', () => {
    expect(createBuckets(limits)(ANONYMOUS, '203.0.113.7')[1]).toEqual({
      key: 'address:203.0.113.7',
      scope: 'address',
      perMinute: 60,
      burst: 60,
    })
  })

  test('are shared within a /64 of IPv6', () => {
    const bucketsFor = createBuckets(limits)
    const keys = ['2001:db8::1', '2001:db8::ffff:1', '2001:db8:0:1::1'].map(
      address => bucketsFor(ANONYMOUS, address)[1]?.key,
    )

    expect(keys).toEqual(['address:2001:db8::/64', 'address:2001:db8::/64', 'address:2001:db8:0:1::/64'])
  })

  test('are the same objects each time', () => {
    const bucketsFor = createBuckets(limits)

    expect(bucketsFor(web, 'a')).toBe(bucketsFor(web, 'b'))
    expect(bucketsFor(ANONYMOUS, '203.0.113.7')).toBe(bucketsFor(ANONYMOUS, '203.0.113.7'))
    expect(bucketsFor(ANONYMOUS, '203.0.113.7')[0]).toBe(bucketsFor(web, 'a')[0])
  })

  test('are none where limits are off or zero', () => {
    const zero = { requests_per_minute: 0, burst: null }

    expect(createBuckets({ ...limits, enabled: false })(web, 'a')).toEqual([])
    expect(createBuckets({ enabled: true, global: zero, per_client: zero })(ANONYMOUS, 'a')).toEqual([])
    expect(createBuckets({ ...limits, per_client: zero })(ANONYMOUS, 'a')).toHaveLength(1)
  })
})
