import { describe, expect, test } from 'bun:test'
import type { Bucket, Verdict } from '#core/limiter.ts'
import { limitRefusal } from '#gateway/limits/limits.ts'
import { bucket } from '#tests/contract/limiter.ts'

const verdictOf = (retryAfterMs: number, resetMs = 0): Verdict => ({
  refused: null,
  retryAfterMs,
  requests: { limit: 60, remaining: 0, resetMs },
  tokens: null,
})

describe('the refusal of a limit', () => {
  test.each([
    [0, '0ms'],
    [0.2, '1ms'],
    [999, '999ms'],
    [1000, '1s'],
    [1001, '2s'],
    [59_500, '1m0s'],
    [3_599_000, '59m59s'],
    [3_600_000, '1h0m0s'],
    [7_384_000, '2h3m4s'],
    [86_400_000, '24h0m0s'],
  ])('says of %d ms that all is back in %s', (ms, text) => {
    const { headers } = limitRefusal(verdictOf(1, ms), bucket())

    expect(headers['x-ratelimit-reset-requests']).toBe(text)
  })

  test.each<[Partial<Bucket>, number, string]>([
    [{ limit: 60 }, 1500, 'Rate limit reached: 60 requests per minute (key). Please try again in 1.5s.'],
    [
      { limit: 500, unit: 'tokens', periodMs: 86_400_000 },
      20_000,
      'Rate limit reached: 500 tokens per day (key); this request may need 70. Please try again in 20s.',
    ],
    [
      { limit: 50, unit: 'tokens' },
      Number.POSITIVE_INFINITY,
      'This request may need 70 tokens, and the limit never gives more than 50 at once (key). Shorten it, or lower max_tokens.',
    ],
    [
      { limit: 2, unit: 'concurrent' },
      1000,
      'Too many requests at once: the limit is 2 (key). Please try again in 1s.',
    ],
  ])('says which limit it was, and when to come again: %p', (more, waitMs, message) => {
    expect(limitRefusal(verdictOf(waitMs), bucket(more), { tokens: 70, waitMs: 0 }).message).toBe(message)
  })

  test('makes wait for the limits that let it in, too', () => {
    expect(limitRefusal(verdictOf(100), bucket(), { tokens: 0, waitMs: 2000.2 }).retryAfterMs).toBe(2001)
  })
})
