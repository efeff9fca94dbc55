import { expect, test } from 'bun:test'
import type { RequestRecord } from '#core/record.ts'
import { createStats } from '#telemetry/stats.ts'
import { recordOf } from '#tests/support/records.ts'

function settled(...records: Partial<RequestRecord>[]) {
  const stats = createStats()
  for (const record of records) stats.subscriber({ type: 'request-settled', record: recordOf(record) })
  return stats
}

const from = (status: 'hit' | 'miss' | 'coalesced' | 'bypass') => ({ status, ageMs: 0, leftMs: 0 })
const usage = { input: 1, cacheRead: 2, cacheWrite: 4, output: 8, reasoning: 16, estimated: false }
const saved = { savedTokens: 15, savedNano: 250_000_000 }

test('the totals of a tenant are those of its own calls', () => {
  const stats = settled({ outcome: 'ok', usage }, { tenant: 'bank' }, { tenant: null }, { purpose: 'other' })

  expect(stats.of('shop')).toEqual({
    requests: {
      total: 1,
      ok: 1,
      recovered: 0,
      hit: 0,
      coalesced: 0,
      denied: 0,
      cancelled: 0,
      failed: 0,
      interrupted: 0,
    },
    tokens: { input: 1, cache_read: 2, cache_write: 4, output: 8, reasoning: 16 },
    cache: { hits: 0, coalesced: 0, misses: 0, hit_ratio: 0, saved_tokens: 0, saved_usd: 0 },
  })
  expect(stats.of('bank').requests.total).toBe(1)
  expect(stats.of('nobody').requests.total).toBe(0)
})

test('calls that no server was asked for save their tokens, which are not counted again', () => {
  const { requests, tokens, cache } = settled(
    { outcome: 'ok', usage, cache: from('miss') },
    { outcome: 'hit', usage, cache: from('hit'), ...saved },
    { outcome: 'hit', usage, cache: from('hit'), ...saved, savedNano: null },
    { outcome: 'coalesced', usage, cache: from('coalesced'), ...saved },
    { outcome: 'failed', usage: null, cache: from('bypass') },
  ).of('shop')

  expect(requests).toMatchObject({ total: 5, ok: 1, hit: 2, coalesced: 1, failed: 1 })
  expect(tokens).toEqual({ input: 1, cache_read: 2, cache_write: 4, output: 8, reasoning: 16 })
  expect(cache).toEqual({ hits: 2, coalesced: 1, misses: 1, hit_ratio: 0.75, saved_tokens: 45, saved_usd: 0.5 })
})
