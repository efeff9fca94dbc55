import { describe, expect, test } from 'bun:test'
import type { Plan } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import { countFrame, estimateUsage, settleCall } from '#gateway/settle.ts'
import { call, frame, model, target } from '#tests/support/calls.ts'
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

test('the first content is timed, and what a server has counted stays behind frames that count nothing', () => {
  const clock = fakeClock()
  const usage = { input: 5, cacheRead: 0, cacheWrite: 0, output: 2, reasoning: 0, estimated: false }
  const record = recordOf({ usage: null, payload: { prompt: 'Hi', answer: '' } })
  const frames = [
    frame('start'),
    frame('delta', 'One'),
    { ...frame('usage'), usage, soFar: usage },
    frame('delta', ' two'),
  ]

  for (const each of frames) {
    clock.advance(10)
    countFrame(record, each, clock)
  }

  const { firstTokenAt, contentFrames, contentChars, payload, soFar } = record
  expect({ firstTokenAt, contentFrames, contentChars, answer: payload?.answer }).toEqual({
    ...{ firstTokenAt: 20, contentFrames: 2, contentChars: 7, answer: 'One two' },
  })
  expect([record.usage, soFar]).toEqual([usage, usage])
})

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

  test('is paid for the prompt where a whole answer was not counted and has no text, and only for what was asked', () => {
    const asked = call({ endpoint: 'embeddings', body: { input: ['One'] } })
    const whole = call({ endpoint: 'embeddings', body: { input: ['One', 'x'.repeat(1000)] } })
    const record = recordOf({ usage: null, asked })

    settleCall(record, whole, null, fakeClock())

    expect(record.usage).toEqual(estimateUsage(asked, 0))
  })

  test('is paid for the prompt as it is estimated where its server has counted none of it', () => {
    const soFar = { input: 0, cacheRead: 0, cacheWrite: 0, output: 30, reasoning: 0, estimated: false }
    const record = recordOf({ usage: null, soFar, contentChars: 10, contentFrames: 1 })

    settleCall(record, call(), gone, fakeClock())

    const { input } = estimateUsage(call(), 0)
    expect(input).toBeGreaterThan(0)
    expect(record.usage).toEqual({ ...soFar, input, estimated: true })
  })

  test('is paid for the prompt as it is estimated where a whole answer is counted without it, as from a cache', () => {
    const counted = { input: 0, cacheRead: 0, cacheWrite: 0, output: 30, reasoning: 0, estimated: false }
    const cached = { ...counted, cacheRead: 7 }
    const [record, whole] = [recordOf({ usage: counted }), recordOf({ usage: cached })]

    for (const each of [record, whole]) settleCall(each, call(), null, fakeClock())

    expect(record.usage).toEqual({ ...counted, input: estimateUsage(call(), 0).input, estimated: true })
    expect(whole.usage).toBe(cached)
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

  const broken = attemptEntry('b', { result: 'upstream_error', usage: estimateUsage(call(), 7) })
  const unanswered = { server: null, upstreamModel: null }
  const halfAnswered = { server: 'b', upstreamModel: 'm', contentFrames: 1, contentChars: 7 }

  test.each([
    ['raced', unanswered, [attemptEntry('a', { result: null }), attemptEntry('b', { result: null })]],
    ['raced, and was told before', unanswered, ['a', 'b'].map(id => attemptEntry(id, { result: gone.code }))],
    ['was to go on', halfAnswered, [broken, attemptEntry('a', { result: null })]],
    ['was compared', halfAnswered, [broken, attemptEntry('a')]],
  ])('puts the prompt of a server that %s when the caller left down to the operator', (_, more, given) => {
    const attempts = given.map(attempt => ({ ...attempt }))
    const record = recordOf({ ...more, usage: null, attempts })

    settleCall(record, call(), gone, fakeClock())

    const paid = attempts.filter(({ usage }) => usage !== undefined)
    expect([record.outcome, record.server]).toEqual(['cancelled', 'b'])
    expect(paid.map(({ server, result, usage }) => [server, result, usage])).toEqual([
      ['a', 'client_closed_request', estimateUsage(call(), 0)],
    ])
  })

  test('is paid at the server that was still at it when the caller left, and not at one that had failed since', () => {
    const attempts = [attemptEntry('a', { result: null }), attemptEntry('b', { result: 'upstream_error' })]
    const record = recordOf({ ...unanswered, usage: null, attempts })

    settleCall(record, call(), gone, fakeClock())

    expect([record.server, record.usage, record.extraNano]).toEqual(['a', estimateUsage(call(), 0), 0])
  })

  test.each([
    ['where the time that its caller had set is over', true, 'deadline_exceeded', null, true],
    ['not where the time that is configured is over', false, 'deadline_exceeded', null, false],
    ['not where every server had failed when its caller left', false, 'client_closed_request', 'upstream_error', false],
  ] as const)('is paid for the prompt %s', (_, gaveUp, code, result, isPaid) => {
    const record = recordOf({ ...unanswered, usage: null, gaveUp, attempts: [attemptEntry('a', { result })] })

    settleCall(record, call(), new GatewayError(code, 'over'), fakeClock())

    expect(record.usage).toEqual(isPaid ? estimateUsage(call(), 0) : null)
    expect(record.server).toBe(isPaid ? 'a' : null)
  })

  test('counts an answer that broke off for good once: as the call’s own, and not as an attempt’s', () => {
    const own = estimateUsage(call(), 7)
    const attempts = [
      attemptEntry('a', { result: 'upstream_error', usage: own }),
      attemptEntry('b', { result: 'stream_interrupted', usage: estimateUsage(call(), 3) }),
    ]
    const record = recordOf({
      server: 'a',
      upstreamModel: 'm',
      usage: null,
      contentFrames: 1,
      contentChars: 7,
      attempts,
    })

    settleCall(record, call(), new GatewayError('upstream_error', 'broken'), fakeClock())

    expect([record.usage, ...attempts.map(({ usage }) => usage)]).toEqual([own, undefined, estimateUsage(call(), 3)])
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
      const own = recovered ? { model: 'broken', server: 'broken' } : { model: null }
      const heir = recordOf({ heirOf: began, attempts: [], upstreamModel: 'large', ...own })

      settleCall(heir, call(), null, fakeClock())

      const { outcome, model, server, attempts, prefilled, eventsSkipped } = heir
      expect({ outcome, model, server, attempts, prefilled, eventsSkipped }).toEqual({
        outcome: recovered ? 'recovered' : 'ok',
        ...{ model: 'chat', server: 'llm', attempts: began.attempts, prefilled: recovered, eventsSkipped: 2 },
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

  test('is at the price of the server that answered, where several have the model', () => {
    const { candidates, model: chat } = PLAN
    const dear = { target: target('dear', { upstreamModel: 'small', price: { input: 0, output: 5, request: 0 } }) }
    const plan = {
      model: chat,
      strategy: 'explicit',
      candidates: [...candidates, { ...dear, model: chat, reason: '' }],
    }
    const record = recordOf({ plan, server: 'dear', upstreamModel: 'small' })

    settleCall(record, call(), null, fakeClock())

    expect(record.costNano).toBe(170_000)
  })

  test('is estimated by its length, as a prompt that no cache had and an answer without thoughts', () => {
    const completion = call({ endpoint: 'completions', body: { prompt: 'x'.repeat(400) } })

    const { input, output, ...rest } = estimateUsage(completion, 400)

    expect(input).toBe(output)
    expect(rest).toEqual({ cacheRead: 0, cacheWrite: 0, reasoning: 0, estimated: true })
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

  test('with a broken answer is the caller’s to pay for, at its price, and what only failed is the operator’s', () => {
    const usage = { input: 0, cacheRead: 0, cacheWrite: 0, output: 10, reasoning: 0, estimated: true }
    const attempts = () =>
      ['small', 'large'].map(each => attemptEntry('llm', { model: each, result: 'upstream_error', usage }))
    const broken = recordOf({ plan: PLAN, upstreamModel: 'small', attempts: attempts(), contentFrames: 1 })
    const failed = recordOf({ plan: PLAN, upstreamModel: 'small', attempts: attempts(), usage: null })

    const error = new GatewayError('all_targets_failed', 'none')
    for (const record of [broken, failed]) settleCall(record, call(), error, fakeClock())

    expect([broken.costNano, broken.extraNano]).toEqual([34_000, 100_000])
    expect([failed.costNano, failed.extraNano]).toEqual([0, 110_000])
  })

  test('is at the tier of service that was asked for where none is told, unless the server was not asked for it', () => {
    const factors = { serviceTier: { flex: 0.5, priority: 2 }, inferenceGeo: { us: 1.1 } }
    const llm = target('llm', { upstreamModel: 'm', price: { input: 0, output: 10, request: 0, factors } })
    const chat = model('chat', [llm])
    const plan = { model: chat, strategy: 'explicit', candidates: [{ target: llm, model: chat, reason: '' }] }
    const usage = { input: 0, cacheRead: 0, cacheWrite: 0, output: 10, reasoning: 0, estimated: false }
    const costOf = (told: object, dropped?: readonly string[]) => {
      const attempts = ['ok', 'upstream_error'].map(result =>
        attemptEntry('llm', {
          model: 'm',
          result: result as 'ok',
          ...(dropped && { dropped }),
          ...(result !== 'ok' && { usage }),
        }),
      )
      const record = recordOf({
        plan,
        server: 'llm',
        upstreamModel: 'm',
        attempts: attempts.toReversed(),
        usage: { ...usage, ...told },
      })
      settleCall(record, call({ body: { service_tier: 'priority', inference_geo: 'us' } }), null, fakeClock())
      return [record.costNano, record.extraNano]
    }

    expect(costOf({})).toEqual([220_000, 220_000])
    expect(costOf({ serviceTier: 'default' })).toEqual([110_000, 220_000])
    expect(costOf({}, ['service_tier', 'inference_geo'])).toEqual([100_000, 100_000])
  })

  test('has what another model took for it at the price of that one', () => {
    const at = (output: number) => ({ input: 0, output, request: 0 })
    const llm = { ...target('llm', { upstreamModel: 'm', price: at(1) }), priceBeside: () => at(10) }
    const chat = model('chat', [llm])
    const plan = { model: chat, strategy: 'explicit', candidates: [{ target: llm, model: chat, reason: '' }] }
    const none = { input: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0, estimated: false }
    const usage = { ...none, output: 15, besides: [{ model: 'large', usage: { ...none, output: 5 } }] }
    const record = recordOf({ plan, server: 'llm', upstreamModel: 'm', usage })

    settleCall(record, call(), null, fakeClock())

    expect(record.costNano).toBe(10_000 + 50_000)
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

  test('costs nothing, and saves nothing that is known, where the stored answer was not counted', () => {
    const record = recordOf({ cache: { status: 'hit', ageMs: 0, leftMs: 1000 }, attempts: [], usage: null })

    settleCall(record, call(), null, fakeClock())

    expect([record.outcome, record.costNano, record.savedTokens, record.usage]).toEqual(['hit', 0, 0, null])
  })

  test.each([
    ['failed', {}],
    ['interrupted', { contentFrames: 1 }],
    ['denied', { attempts: [] }],
    // Somebody else's request has asked for it.
    ['failed', { attempts: [], cache: { status: 'coalesced', ageMs: 0, leftMs: 0 } as const }],
  ])('by an error is %s (%o), and takes no name from its model', (outcome, more) => {
    const record = recordOf({ usage: null, ...more })

    settleCall(record, call(), new GatewayError('all_targets_failed', 'none'), fakeClock())

    expect([record.outcome, record.model]).toEqual([outcome, 'chat'])
  })

  test('names the model that nobody had a plan for, and who was asked last when nobody answered', () => {
    const unplanned = recordOf({ model: null, server: null, attempts: [], usage: null })
    settleCall(unplanned, call(), new GatewayError('rate_limit_exceeded', 'slower', { model: 'chat' }), fakeClock())
    const unanswered = recordOf({
      ...{ plan: PLAN, model: 'other', server: null, upstreamModel: null, usage: null },
      attempts: [attemptEntry('first'), attemptEntry('llm', { model: 'small', result: null })],
    })
    const unknown = recordOf({ server: null, usage: null })
    for (const record of [unanswered, unknown]) settleCall(record, call(), gone, fakeClock())

    expect([unplanned.model, unplanned.outcome, unplanned.code]).toEqual(['chat', 'denied', 'rate_limit_exceeded'])
    expect([unanswered.model, unanswered.server, unanswered.upstreamModel]).toEqual(['chat', 'llm', 'small'])
    expect([unknown.model, unknown.server]).toEqual(['chat', 'llm'])
  })
})
