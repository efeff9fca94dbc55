import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { costOf } from '#core/cost.ts'
import { GatewayError } from '#core/errors.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Usage } from '#core/usage.ts'
import { toAttemptRows, toLostRow, toOpening, toRow } from '#gateway/ledger/row.ts'
import { estimateUsage, settleCall } from '#gateway/settle.ts'
import { call, model, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { attemptEntry, recordOf } from '#tests/support/records.ts'

const price = { input: 2, output: 8, cache_read: 0.2, cache_write: 2.5, request: 0.001 }
const main = target('llm', { price })
const candidate = { target: main, model: model('chat', [main]), reason: 'target of chat' }
const plan = { model: candidate.model, strategy: 'explicit', candidates: [candidate] }

const left = new GatewayError('client_closed_request', 'gone')
const broken = new GatewayError('stream_interrupted', 'broken')
const failed = new GatewayError('all_targets_failed', 'nobody')
const denied = new GatewayError('rate_limit_exceeded', 'slower')

/** One way in which a call ends: what is known of it then, and what its row has to say. */
interface Ending {
  readonly error: GatewayError | null
  /** Whether a server was asked, has begun to answer, and has said what that used. */
  readonly dialled: boolean
  readonly answered: boolean
  readonly counted: boolean
  readonly recovered?: boolean
  /** What the cache did. */
  readonly cache?: 'hit' | 'coalesced'
  readonly outcome: string
  readonly charged: 'usage' | 'estimate' | 'nothing'
}

const ENDINGS: Readonly<Record<string, Ending>> = {
  'finished, counted': { error: null, dialled: true, answered: true, counted: true, outcome: 'ok', charged: 'usage' },
  'finished, not counted': {
    error: null,
    dialled: true,
    answered: true,
    counted: false,
    outcome: 'ok',
    charged: 'estimate',
  },
  'refused by the gateway': {
    error: denied,
    dialled: false,
    answered: false,
    counted: false,
    outcome: 'denied',
    charged: 'nothing',
  },
  'left before a server was asked': {
    error: left,
    dialled: false,
    answered: false,
    counted: false,
    outcome: 'cancelled',
    charged: 'nothing',
  },
  'left before an answer began': {
    error: left,
    dialled: true,
    answered: false,
    counted: false,
    outcome: 'cancelled',
    charged: 'estimate',
  },
  'left in the middle': {
    error: left,
    dialled: true,
    answered: true,
    counted: false,
    outcome: 'cancelled',
    charged: 'estimate',
  },
  'left behind the count': {
    error: left,
    dialled: true,
    answered: true,
    counted: true,
    outcome: 'cancelled',
    charged: 'usage',
  },
  'failed everywhere': {
    error: failed,
    dialled: true,
    answered: false,
    counted: false,
    outcome: 'failed',
    charged: 'nothing',
  },
  'given from the cache': {
    error: null,
    dialled: false,
    answered: true,
    counted: true,
    cache: 'hit',
    outcome: 'hit',
    charged: 'nothing',
  },
  'shared with another call': {
    error: null,
    dialled: false,
    answered: true,
    counted: true,
    cache: 'coalesced',
    outcome: 'coalesced',
    charged: 'nothing',
  },
  'shared with another call, and left behind its count': {
    error: left,
    dialled: false,
    answered: true,
    counted: true,
    cache: 'coalesced',
    outcome: 'cancelled',
    charged: 'nothing',
  },
  'cut and recovered': {
    error: null,
    dialled: true,
    answered: true,
    counted: true,
    recovered: true,
    outcome: 'recovered',
    charged: 'usage',
  },
  'cut and not recovered': {
    error: broken,
    dialled: true,
    answered: true,
    counted: false,
    outcome: 'interrupted',
    charged: 'estimate',
  },
}

const tokens = fc.nat(100_000)
const usages = fc.record({
  input: tokens,
  cacheRead: tokens,
  cacheWrite: tokens,
  output: tokens,
  reasoning: fc.nat(10),
  estimated: fc.constant(false),
})

function settledAs(ending: Ending, usage: Usage, characters: number): RequestRecord {
  const record = recordOf({
    plan,
    usage: ending.counted ? usage : null,
    recovered: ending.recovered ?? false,
    cache: ending.cache === undefined ? null : { status: ending.cache, ageMs: 0, leftMs: 0 },
    dialledAt: ending.dialled ? 2 : 0,
    contentFrames: ending.answered ? 3 : 0,
    contentChars: ending.answered ? characters : 0,
    server: ending.answered ? 'llm' : null,
    upstreamModel: ending.answered ? 'm' : null,
    attempts: ending.dialled ? [attemptEntry('llm', { result: ending.error === null ? 'ok' : null })] : [],
  })
  settleCall(record, call(), ending.error, fakeClock())
  return record
}

describe('however a call ends, its row says what it came to', () => {
  test.each(Object.entries(ENDINGS))('%s', (_, ending) => {
    fc.assert(
      fc.property(usages, fc.nat(10_000), (usage, characters) => {
        const row = toRow(settledAs(ending, usage, characters), 51, null)
        const estimate = estimateUsage(call(), ending.answered ? characters : 0)
        const charged = { usage, estimate, nothing: null }[ending.charged]

        expect(row.outcome).toBe(ending.outcome)
        expect(row.cost_nano).toBe(charged === null ? 0 : costOf(price, charged))
        expect(row.estimated).toBe(ending.charged === 'estimate' ? 1 : 0)
        expect([row.input_tokens, row.cache_read_tokens, row.cache_write_tokens, row.output_tokens]).toEqual(
          charged === null ? [0, 0, 0, 0] : [charged.input, charged.cacheRead, charged.cacheWrite, charged.output],
        )
      }),
    )
  })

  test('a process that dies: an estimate of the prompt', () => {
    const record = recordOf({ plan, usage: null, attempts: [] })
    const row = toLostRow(JSON.parse(JSON.stringify(toOpening(record, call(), candidate))))
    const prompt = estimateUsage(call(), 0)

    expect(row).toMatchObject({ outcome: 'lost', estimated: 1, server: 'llm', upstream_model: 'm', model: 'chat' })
    // What is hashed is made of the members in their order.
    expect(Object.keys(row)).toEqual(Object.keys(toRow(record, 51, null)))
    expect([row.input_tokens, row.output_tokens]).toEqual([prompt.input, 0])
    expect(row.cost_nano).toBe(costOf(price, prompt))
  })

  test('an attempt that failed while another answered: a row of its own that costs nothing', () => {
    const record = recordOf({
      plan,
      upstreamModel: 'm',
      attempts: [attemptEntry('other', { result: 'upstream_error' }), attemptEntry('llm')],
    })
    settleCall(record, call(), null, fakeClock())
    const row = toRow(record, 51, 'b')

    const attempts = toAttemptRows(row, record)

    expect(attempts).toHaveLength(1)
    expect(attempts[0]).toMatchObject({
      id: `${row.id}.1`,
      parent: row.id,
      outcome: 'failover',
      server: 'other',
      code: 'upstream_error',
      cost_nano: 0,
      input_tokens: 0,
    })
    expect(Object.keys(attempts[0] ?? {})).toEqual(Object.keys(row))
  })

  test('the day that its request came, and when it began, was answered and was over', () => {
    const midnight = Date.UTC(2026, 0, 2)
    const attempts = [attemptEntry('a', { result: 'upstream_error', startedAt: 1010, ms: 20.4 }), attemptEntry('llm')]
    const more = { startedNow: 1000, firstTokenAt: 1040, stream: true, attempts }
    const rows = [midnight - 0.6, midnight + 0.4].map(startedAt => {
      const record = recordOf({ ...more, startedAt })
      const row = toRow(record, startedAt + 51, null)
      return [row, ...toAttemptRows(row, record)]
    })

    const told = rows.flat().map(({ day, started_at, ended_at }) => [day, started_at - midnight, ended_at - midnight])
    expect(told).toEqual([
      ['2026-01-01', -1, 50],
      ['2026-01-01', 9, 29],
      ['2026-01-02', 0, 51],
      ['2026-01-02', 10, 30],
    ])
    expect(rows[0]?.[0]).toMatchObject({ first_token_ms: 40, stream: 1, recovered: 0, attempts: 2 })
    expect(JSON.parse(rows[0]?.[0]?.attempt_list ?? '')).toEqual([
      { server: 'a', model: 'm', ms: 20, result: 'upstream_error' },
      { server: 'llm', model: 'm', ms: 20, result: 'ok' },
    ])
  })

  test('a stored answer that its caller did not wait for was used by nobody', () => {
    const record = recordOf({ cache: { status: 'hit', ageMs: 0, leftMs: 1000 }, attempts: [] })
    settleCall(record, call(), new GatewayError('client_closed_request', 'gone'), fakeClock())

    expect(toRow(record, 51, null)).toMatchObject({
      outcome: 'cancelled',
      ...{ input_tokens: 0, output_tokens: 0, cost_nano: 0, saved_tokens: 46 },
    })
  })

  test('what the operator paid besides stands in a column of its own', () => {
    const spent = estimateUsage(call(), 100)
    const record = recordOf({
      plan,
      recovered: true,
      upstreamModel: 'm',
      attempts: [attemptEntry('llm', { result: 'upstream_error', usage: spent }), attemptEntry('llm')],
    })
    settleCall(record, call(), null, fakeClock())

    const row = toRow(record, 51, null)

    expect(row.extra_cost_nano).toBe(costOf(price, spent))
    expect(row.cost_nano).toBe(record.usage === null ? 0 : costOf(price, record.usage))
  })

  test('what the caller pays for a broken answer is not paid by the operator, too', () => {
    const [said, again] = [estimateUsage(call(), 100), estimateUsage(call(), 40)]
    const spare = target('spare', { price })
    const candidates = [candidate, { ...candidate, target: spare }]
    const record = recordOf({
      plan: { ...plan, candidates },
      usage: null,
      upstreamModel: 'm',
      contentFrames: 3,
      contentChars: 100,
      attempts: [
        attemptEntry('llm', { result: 'upstream_error', usage: said }),
        attemptEntry('spare', { result: 'stream_interrupted', usage: again }),
      ],
    })
    settleCall(record, call(), broken, fakeClock())

    const row = toRow(record, 51, null)

    expect(row.cost_nano).toBe(costOf(price, said))
    expect(row.extra_cost_nano).toBe(costOf(price, again))
  })

  test('a target that belongs to several models costs what it costs for the one that answered', () => {
    const cheap = target('llm', { price: { ...price, output: 1 } })
    const other = { ...candidate, target: cheap, model: model('cheap', [cheap]) }
    const record = recordOf({ plan: { ...plan, candidates: [candidate, other] }, model: 'cheap', upstreamModel: 'm' })
    settleCall(record, call(), null, fakeClock())

    expect(record.costNano).toBe(record.usage === null ? 0 : costOf(cheap.price, record.usage))
  })
})
