import { describe, expect, test } from 'bun:test'
import type { States } from '#core/states.ts'
import { target } from '#tests/support/calls.ts'
import { limited, over } from '#tests/support/retries.ts'

describe('a server with several keys', () => {
  test('the next key of the same server is used at once', async () => {
    for (const refused of ['upstream_auth_failed', limited(2000)] as const) {
      const { error, tried, states } = await over({ keys: [refused, 'ok'], b: ['ok'] })

      expect(error).toBeNull()
      expect(tried).toEqual(['keys:one 0', 'keys:two 0'])
      // Others may go on with the key that is left.
      expect(states.target(target('keys')).coolUntil).toBe(0)
    }
  })

  test('the next key is used even if the retry budget has no place', async () => {
    const { tried } = await over({ keys: [limited(5000), 'ok'] }, { retry: { budgetMin: 0, budgetPercent: 0 } })

    expect(tried).toEqual(['keys:one 0', 'keys:two 0'])
  })

  test('other servers are tried when the next key fails too', async () => {
    const { tried } = await over({ keys: ['upstream_auth_failed', 'upstream_error'], b: ['ok'] })

    expect(tried).toEqual(['keys:one 0', 'keys:two 0', 'b 0'])
  })

  test('a drained server is not tried with another key, nor after a wait in which it was drained', async () => {
    const rotated = await over({ keys: ['upstream_auth_failed', 'ok'], b: ['ok'] }, { drained: ['keys'] })
    const drain = (states: States) => Object.assign(states.server('a'), { draining: true })
    const outcomes = { a: [limited(2000), 'ok'], f: ['ok'] } as const
    const waited = await over(outcomes, { fallbacks: ['f'], meanwhile: { 1000: drain } })

    expect([rotated.tried, waited.tried]).toEqual([
      ['keys:one 0', 'b 0'],
      ['a 0', 'f 2000'],
    ])
  })

  test('a key that is rate-limited for a moment is waited for, although the other key is refused', async () => {
    const limit = [limited(500), 'upstream_auth_failed', 'ok'] as const
    const { error, tried, states } = await over({ keys: limit, f: ['ok'] }, { fallbacks: ['f'] })

    expect(error).toBeNull()
    expect(tried).toEqual(['keys:one 0', 'keys:two 0', 'keys:one 500'])
    expect(states.target(target('keys')).refusedUntil).toBe(0)
  })

  test('the caller is told to wait until the first key of a server may be used again', async () => {
    const { error } = await over({ keys: [limited(10_000), limited(40_000)] })

    expect([error?.code, error?.retryAfterMs]).toEqual(['provider_rate_limited', 10_000])
  })

  test.each(['upstream_timeout', 'upstream_idle_timeout', 'upstream_tls_error'] as const)(
    'no other key is tried after %s, and the same one not again',
    async code => {
      expect((await over({ keys: [code] })).tried).toEqual(['keys:one 0'])
    },
  )

  test.each(['upstream_auth_failed', 'insufficient_quota'] as const)(
    'the same key is not used again after %s',
    async code => {
      expect((await over({ a: [code] })).tried).toEqual(['a 0'])
      expect((await over({ keys: [code, 'ok'] })).tried).toEqual(['keys:one 0', 'keys:two 0'])
    },
  )

  test('the same key is used again after an answer that cannot be read', async () => {
    expect((await over({ keys: ['upstream_invalid_response', 'ok'] })).tried).toEqual(['keys:one 0', 'keys:one 0'])
  })
})
