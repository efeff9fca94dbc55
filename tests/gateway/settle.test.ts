import { describe, expect, test } from 'bun:test'
import type { Plan } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import { estimateUsage, settleCall } from '#gateway/settle.ts'
import { call, model, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { attemptEntry, recordOf } from '#tests/support/records.ts'

const gone = new GatewayError('client_closed_request', 'gone')
/** Three models of one server: of one and of ten billionths of a dollar for each token, and of a price that nobody knows. */
const PLAN = planOf({ small: 1, large: 10, unpriced: null })

function planOf(prices: Readonly<Record<string, number | null>>): Plan {
  const targets = Object.entries(prices).map(([upstreamModel, output]) =>
    target('llm', { upstreamModel, price: output === null ? null : { input: 0, output, request: 0 } }),
  )
  const chat = model('chat', targets)
  const candidates = targets.map(each => ({ target: each, model: chat, reason: '' }))
  return { model: chat, strategy: 'explicit', candidates }
}

describe('the end of a call', () => {
  test('ends every attempt that was under way when the caller left', () => {
    const clock = fakeClock()
    clock.advance(100)
    const running = ['a', 'b'].map((server, at) => attemptEntry(server, { startedAt: at * 30, ms: 0, result: null }))
    const record = recordOf({ attempts: [attemptEntry('c', { result: 'upstream_error' }), ...running] })

    settleCall(record, call(), new GatewayError('client_closed_request', 'gone'), clock)

    expect(record.outcome).toBe('cancelled')
    expect(record.attempts.map(({ result, ms }) => [result, ms])).toEqual([
      ['upstream_error', 20],
      ['client_closed_request', 100],
      ['client_closed_request', 70],
    ])
  })

  test('is paid for what was said, though its caller has read less of it', () => {
    const record = recordOf({ usage: null, contentChars: 10, contentFrames: 1, saidChars: 4000 })

    settleCall(record, call(), new GatewayError('client_closed_request', 'gone'), fakeClock())

    expect(record.usage).toEqual(estimateUsage(call(), 4000))
  })

  test('is paid for the prompt as it is estimated where its server has counted none of it', () => {
    const soFar = { input: 0, cacheRead: 0, cacheWrite: 0, output: 30, reasoning: 0, estimated: false }
    const record = recordOf({ usage: null, soFar, contentChars: 10, contentFrames: 1 })

    settleCall(record, call(), gone, fakeClock())

    const { input } = estimateUsage(call(), 0)
    expect(input).toBeGreaterThan(0)
    expect(record.usage).toEqual({ ...soFar, input, estimated: true })
  })

  test('of one who took over an answer, and left before it came, is paid for the prompt', () => {
    const began = recordOf({ passedOn: true })
    const gone = new GatewayError('client_closed_request', 'gone')
    const heir = recordOf({ usage: null, attempts: [], dialledAt: 0, heirOf: began })
    const early = recordOf({ usage: null, attempts: [], dialledAt: 0 })
    for (const record of [heir, early]) settleCall(record, call(), gone, fakeClock())

    expect([heir.usage, early.usage]).toEqual([estimateUsage(call(), 0), null])
  })

  test('puts the prompt that a slower server has read down to the operator, not to the caller', () => {
    const record = recordOf({ attempts: [attemptEntry('a', { result: 'lost' }), attemptEntry('b')] })
    const { usage } = record

    settleCall(record, call(), null, fakeClock())

    expect(record.usage).toBe(usage)
    expect(record.attempts.map(attempt => attempt.usage)).toEqual([estimateUsage(call(), 0), undefined])
  })

  test('costs nobody twice: whoever left to others pays nothing, and ends nothing of theirs', () => {
    const running = attemptEntry('a', { ms: 0, result: null })
    const leaver = recordOf({ passedOn: true, attempts: [running] })

    settleCall(leaver, call(), gone, fakeClock())

    expect([leaver.outcome, leaver.usage, leaver.costNano]).toEqual(['cancelled', null, 0])
    expect(running.result).toBeNull()
  })

  test.each([false, true])(
    'tells of an answer that another request began all that one knew (recovered: %p)',
    recovered => {
      const began = recordOf({
        ...{ passedOn: true, recovered, prefilled: recovered, eventsSkipped: 2, model: 'chat', plan: PLAN },
        ...{ server: 'llm', upstreamModel: 'small', attempts: [attemptEntry('llm'), attemptEntry('llm')] },
      })
      const heir = recordOf({ heirOf: began, attempts: [], upstreamModel: 'large', model: null })

      settleCall(heir, call(), null, fakeClock())

      const { outcome, model, attempts, prefilled, eventsSkipped } = heir
      expect({ outcome, model, attempts, prefilled, eventsSkipped }).toEqual({
        outcome: recovered ? 'recovered' : 'ok',
        ...{ model: 'chat', attempts: began.attempts, prefilled: recovered, eventsSkipped: 2 },
      })
      // 34 tokens of the model that gave the last of it.
      expect(heir.costNano).toBe(recovered ? 34_000 : 340_000)
    },
  )

  test('is at the price of the model that answered, where a server has several', () => {
    const records = ['small', 'large'].map(upstreamModel => recordOf({ plan: PLAN, server: 'llm', upstreamModel }))
    for (const record of records) settleCall(record, call(), null, fakeClock())

    expect(records.map(({ costNano }) => costNano)).toEqual([34_000, 340_000])
  })

  test.each([
    ['small', 'unpriced'],
    ['unpriced', 'small'],
  ])('leaves what the operator paid unknown where one price is (%s, %s)', (first, second) => {
    const lost = [first, second].map(name => attemptEntry('llm', { model: name, result: 'lost' }))
    const record = recordOf({ plan: PLAN, server: 'other', attempts: [...lost, attemptEntry('other')] })

    settleCall(record, call(), null, fakeClock())

    expect(record.extraNano).toBeNull()
  })

  test('costs nothing where the answer was stored, and says what that has saved', () => {
    const price = { input: 0, output: 1, request: 0 }
    const record = recordOf({
      cache: { status: 'hit', ageMs: 0, leftMs: 1000 },
      attempts: [],
      plan: PLAN,
      sparedPrice: price,
    })
    const { usage } = record

    settleCall(record, call(), null, fakeClock())

    expect([record.outcome, record.costNano, record.savedTokens, record.savedNano]).toEqual(['hit', 0, 46, 34_000])
    expect([record.usage, record.extraNano]).toEqual([usage, 0])
  })

  test('names the model that nobody had a plan for, and who was asked last when nobody answered', () => {
    const unplanned = recordOf({ model: null, server: null, attempts: [], usage: null })
    settleCall(unplanned, call(), new GatewayError('rate_limit_exceeded', 'slower', { model: 'chat' }), fakeClock())
    const unanswered = recordOf({
      ...{ plan: PLAN, model: 'other', server: null, upstreamModel: null, usage: null },
      attempts: [attemptEntry('llm', { model: 'small', result: null })],
    })
    settleCall(unanswered, call(), gone, fakeClock())

    expect([unplanned.model, unplanned.outcome, unplanned.code]).toEqual(['chat', 'denied', 'rate_limit_exceeded'])
    expect([unanswered.model, unanswered.server, unanswered.upstreamModel]).toEqual(['chat', 'llm', 'small'])
  })
})
