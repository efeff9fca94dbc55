import { describe, expect, test } from 'bun:test'
import { limited, over } from '#tests/support/retries.ts'

describe('when no target is left to try, the caller is told', () => {
  test('the shortest wait of all servers, counting only what each said last', async () => {
    const { error } = await over({ a: [limited(70_000)], b: [limited(2000), limited(90_000)], c: [limited(80_000)] })

    expect(error).toMatchObject({ code: 'provider_rate_limited', retryAfterMs: 70_000, shouldRetry: null })
    expect(error?.attempts.map(({ server }) => server)).toEqual(['a', 'b', 'c', 'b'])
  })

  test('to wait for a second when a server that limits its callers names no wait', async () => {
    expect((await over({ a: [limited(null)] }, { maxAttempts: 1 })).error?.retryAfterMs).toBe(1000)
  })

  test('that its quota is used up only when every server says so', async () => {
    const used = await over({ a: ['insufficient_quota'], b: ['insufficient_quota'] })
    const mixed = await over({ a: ['insufficient_quota'], b: [limited(90_000)] })

    expect([used.error?.code, mixed.error?.code]).toEqual(['insufficient_quota', 'provider_rate_limited'])
  })

  test('how each server failed, and how often', async () => {
    const { error } = await over({ a: ['upstream_error'], b: ['upstream_timeout'] })

    expect(error?.message).toBe('No model server could answer: a (upstream_error) 3 times, b (upstream_timeout).')
  })

  test('that all targets failed when several servers gave bad answers', async () => {
    const several = await over({ a: ['upstream_tls_error'], b: ['upstream_tls_error'] })

    expect([several.error?.code, several.error?.retryAfterMs]).toEqual(['all_targets_failed', 1000])
  })
})
