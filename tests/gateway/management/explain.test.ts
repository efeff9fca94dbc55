import { expect, test } from 'bun:test'
import { explainRequest } from '#gateway/management/explain.ts'
import { model, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { attemptEntry, recordOf } from '#tests/support/records.ts'
import { requestReport } from '#wire/requests.ts'

const served = target('llm')
const candidate = { target: served, model: model('chat', [served]), reason: 'target of chat' }
const blind = { ...candidate, target: target('blind'), reason: 'cannot read images' }

/** A clock that says this monotonic time. */
function clockAt(now: number) {
  const clock = fakeClock()
  clock.advance(now - clock.now())
  return clock
}

test('the report of a request has all that is known of it', () => {
  const record = recordOf({
    startedNow: 100,
    ...{ dialledAt: 101.234, firstTokenAt: 130, answeredAt: 150, endedAt: 151.128, queueMs: 0.504 },
    attempts: [
      attemptEntry('first', { startedAt: 101.234, ms: 7.126, result: 'upstream_timeout' }),
      attemptEntry('llm', { startedAt: 110, ms: 40, dropped: ['seed'] }),
    ],
    plan: { model: candidate.model, strategy: 'cost', candidates: [candidate], excluded: [blind] },
    skipped: [{ model: 'dear', code: 'budget_exceeded' }],
    usage: {
      ...{ input: 1, cacheRead: 2, cacheWrite: 3, output: 4, reasoning: 5, estimated: false },
      ...{ serviceTier: 'flex', inferenceGeo: 'us' },
      parts: { audioInput: 6, audioCacheRead: 7, audioOutput: 8, cacheWriteHour: 9, searches: 10 },
    },
    ...{ costNano: 1_500_000, savedNano: 250, savedTokens: 11, contentChars: 12, eventsSkipped: 1 },
  })

  const report = explainRequest(record, false, clockAt(9000))

  expect<object>(requestReport.parse(report)).toEqual(report)
  expect(report).toMatchObject({
    ...{ outcome: 'ok', status: 200, strategy: 'cost', cost_usd: 0.0015, saved_usd: 0.00000025, saved_tokens: 11 },
    ...{ content_chars: 12, events_skipped: 1, skipped: [{ model: 'dear', code: 'budget_exceeded' }] },
    candidates: [{ server: 'llm', model: 'chat', upstream_model: 'm', reason: 'target of chat' }],
    excluded: [{ server: 'blind', reason: 'cannot read images' }],
    attempts: [
      { server: 'first', started_ms: 1.23, ms: 7.13, result: 'upstream_timeout', dropped_parameters: [] },
      { server: 'llm', started_ms: 10, ms: 40, result: 'ok', dropped_parameters: ['seed'] },
    ],
    timings: {
      ...{ queue_ms: 0.5, dialled_ms: 1.23, first_token_ms: 30, answered_ms: 50, total_ms: 51.13 },
      gateway_ms: 1.86,
    },
  })
  expect(report.usage).toEqual({
    ...{ input: 1, cache_read: 2, cache_write: 3, output: 4, reasoning: 5, estimated: false },
    ...{ service_tier: 'flex', inference_geo: 'us' },
    parts: { audio_input: 6, audio_cache_read: 7, audio_output: 8, cache_write_1h: 9, searches: 10 },
  })
})

test('the report of a request that goes on has what it has taken so far, and no end', () => {
  const record = recordOf({
    ...{ startedNow: 100, status: 0, usage: null, dialledAt: 102, answeredAt: 0, endedAt: 0 },
    attempts: [
      attemptEntry('first', { startedAt: 102, ms: 8, result: 'upstream_error' }),
      attemptEntry('llm', { startedAt: 110, ms: 0, result: null }),
    ],
  })

  const report = explainRequest(record, true, clockAt(160))

  expect<object>(requestReport.parse(report)).toEqual(report)
  expect(report).toMatchObject({
    ...{ outcome: 'running', status: null, usage: null, cost_usd: null, strategy: null, candidates: [], excluded: [] },
    attempts: [{ ms: 8 }, { ms: 50, result: null }],
    timings: { dialled_ms: 2, first_token_ms: null, answered_ms: null, total_ms: 60, gateway_ms: null },
  })
})

test.each([
  ['nothing, where nothing was used', { usage: null, costNano: null, savedNano: null }, 0],
  ['what nobody knows, where something was used', { costNano: null }, null],
  ['what it is charged', { costNano: 1 }, 0.000000001],
] as const)('a request that is over costs %s', (_, more, cost) => {
  const report = explainRequest(recordOf(more), false, clockAt(60))

  expect(report.cost_usd).toBe(cost)
  expect(report.usage ?? {}).not.toContainKeys(['service_tier'])
  expect(report.saved_usd).toBe('savedNano' in more ? null : 0)
})
