import { describe, expect, test } from 'bun:test'
import type { Attempt, Candidate, Plan } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { type Code, GatewayError, type GatewayErrorOptions } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { failover } from '#policies/failover.ts'
import { createStates } from '#registry/states.ts'
import { call, liveOf, model, server, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { policiesFor } from '#tests/support/policies.ts'
import { seeded } from '#tests/support/random.ts'
import { recordOf } from '#tests/support/records.ts'

type Outcome = 'ok' | Code | GatewayError

const fail = (code: Code, options: GatewayErrorOptions = {}) => new GatewayError(code, code, options)
const limited = (retryAfterMs: number | null) => fail('provider_rate_limited', { retryAfterMs })

/** Candidates of the model that was asked for, of another one that was asked for as well, and of their fallback. */
function planOf(
  primaries: readonly string[],
  fallbacks: readonly string[] = [],
  lengths: readonly (number | undefined)[] = [],
  beside: readonly string[] = [],
): Plan {
  const of = (name: string, ids: readonly string[], length: number | undefined): Candidate[] => {
    const targets = ids.map(id => target(id, { server: server(id, { secrets: id === 'keys' ? ['one', 'two'] : [] }) }))
    const capabilities = { context_length: length ?? null, tools: null, vision: null, prefill: false }
    const only = model(name, targets, { capabilities })
    return targets.map(each => ({ target: each, model: only, reason: '', ...(name === 'other' && { fallback: true }) }))
  }
  const candidates = [
    ...of('m', primaries, lengths[0]),
    ...of('n', beside, undefined),
    ...of('other', fallbacks, lengths[1]),
  ]
  return { model: model('m', []), strategy: 'explicit', candidates }
}

interface Options extends NonNullable<Parameters<typeof policiesFor>[2]> {
  readonly fallbacks?: readonly string[]
  /** Servers of another model that was asked for as well. */
  readonly beside?: readonly string[]
  /** Servers whose target the fallback model has too. */
  readonly shared?: readonly string[]
  readonly lengths?: readonly (number | undefined)[]
  /** Servers at which other calls have failed lately. */
  readonly failing?: readonly string[]
  /** Servers that were drained since the call was planned. */
  readonly drained?: readonly string[]
  /** Servers that are drained after so many milliseconds of the call. */
  readonly drainedAt?: Readonly<Record<string, number>>
  /** For how long servers are left alone because of other calls, in milliseconds. */
  readonly resting?: Readonly<Record<string, number>>
  /** Servers that were out when the call was planned. */
  readonly later?: readonly string[]
  /** Servers with a half-open breaker whose trial is under way. */
  readonly onTrial?: readonly string[]
  /** Servers that seem to be down, and are asked all the same because all the others are. */
  readonly doubted?: readonly string[]
  readonly call?: Partial<Call>
  readonly within?: number
}

/** Runs a call whose servers do these things in turn, and remember the last one; time passes by itself. */
async function over(outcomes: Readonly<Record<string, readonly Outcome[]>>, options: Options = {}) {
  const clock = fakeClock()
  const states = createStates()
  const { fallbacks = [], beside = [], shared = [], failing = [], drained = [], later = [] } = options
  for (const id of drained) states.server(id).draining = true
  for (const [id, ms] of Object.entries(options.drainedAt ?? {})) {
    clock.after(ms, () => {
      states.server(id).draining = true
    })
  }
  for (const id of failing) states.target(target(id)).breaker.failures = 1
  for (const [id, ms] of Object.entries(options.resting ?? {})) states.target(target(id)).coolUntil = ms
  for (const id of options.onTrial ?? [])
    Object.assign(states.target(target(id)).breaker, { openUntil: -1, trial: true })
  const tried: string[] = []
  const wants: boolean[] = []
  const attempt: Attempt = async ({ slot, secret, wantsContent = false }) => {
    wants.push(wantsContent)
    const { id } = slot.candidate.target.server
    const before = tried.filter(each => each.startsWith(`${id} `) || each.startsWith(`${id}:`)).length
    tried.push(`${id}${typeof secret === 'string' ? `:${secret}` : ''} ${clock.now()}`)
    const list = outcomes[id] ?? []
    const outcome = list[Math.min(before, list.length - 1)] ?? 'ok'
    if (outcome === 'ok') return liveOf([])
    throw typeof outcome === 'string' ? fail(outcome) : outcome
  }
  const deps = policiesFor(states, clock, options)
  const scope = createScope(clock, { within: options.within ?? 60_000 })
  const trail = { begin: () => ({ server: '', model: '', startedAt: 0, ms: 0, result: null, cause: null }) }
  const whole = planOf(
    Object.keys(outcomes).filter(id => ![...fallbacks, ...beside].includes(id)),
    [...fallbacks, ...shared],
    options.lengths,
    beside,
  )
  const wasOut = ({ target: { server } }: Candidate) => later.includes(server.id)
  const plan = {
    ...whole,
    candidates: whole.candidates
      .filter(each => !wasOut(each))
      .map(each => (options.doubted?.includes(each.target.server.id) ? { ...each, doubted: true } : each)),
    later: whole.candidates.filter(wasOut),
  }
  const run = failover(deps)(attempt)(call({ stream: false, ...options.call }), plan, scope, trail)
  let done = false
  const result = run
    .next()
    .then(
      () => null,
      (error: GatewayError) => error,
    )
    .finally(() => {
      done = true
    })
  for (let step = 0; step < 400 && !done; step++) {
    await settled(1)
    if (!done) clock.advance(50)
  }
  return { error: await result, tried, wants, clock, scope, run, budget: deps.budget, states }
}

describe('a retry', () => {
  test('goes to the other targets at once, then to the same ones again after a wait', async () => {
    const { error, tried } = await over(
      { a: ['upstream_error'], b: ['upstream_error', 'upstream_error'] },
      { random: () => 0.5 },
    )

    expect(error?.code).toBe('all_targets_failed')
    expect(tried).toEqual(['a 0', 'b 0', 'a 50', 'b 50'])
  })

  test('waits for up to twice as long each time, by chance', async () => {
    const { tried } = await over({ a: ['upstream_error'] }, { random: () => 0.5, maxAttempts: 5 })
    const capped = await over(
      { a: ['upstream_error'] },
      { random: () => 0.5, maxAttempts: 5, retry: { backoffMaxMs: 200 } },
    )

    expect(tried).toEqual(['a 0', 'a 50', 'a 150', 'a 350', 'a 750'])
    expect(capped.tried).toEqual(['a 0', 'a 50', 'a 150', 'a 250', 'a 350'])
  })

  test('waits as long as the server asks, rather than for another model', async () => {
    const { error, tried } = await over({ a: [limited(2000), 'ok'], f: ['ok'] }, { fallbacks: ['f'] })

    expect(error).toBeNull()
    expect(tried).toEqual(['a 0', 'a 2000'])
  })

  test('does not wait longer than is allowed: another model answers, and the target rests', async () => {
    const { tried, states } = await over({ a: [limited(200_000)], f: ['ok'] }, { fallbacks: ['f'] })

    expect(tried).toEqual(['a 0', 'f 0'])
    expect(states.target(target('a')).coolUntil).toBe(60_000)
  })

  test('lets a fallback have the last attempt', async () => {
    const { tried } = await over(
      { a: ['upstream_error'], b: ['upstream_error'], f: ['ok'] },
      { fallbacks: ['f'], maxAttempts: 3 },
    )

    expect(tried).toEqual(['a 0', 'b 0', 'f 0'])
  })

  test.each(['upstream_timeout', 'upstream_idle_timeout', 'upstream_tls_error'] as const)(
    'never asks the same target again after %s, nor with another key',
    async code => {
      expect((await over({ keys: [code] })).tried).toEqual(['keys:one 0'])
    },
  )

  test.each(['upstream_auth_failed', 'insufficient_quota'] as const)(
    'never asks with the same key again after %s',
    async code => {
      expect((await over({ a: [code] })).tried).toEqual(['a 0'])
      expect((await over({ keys: [code, 'ok'] })).tried).toEqual(['keys:one 0', 'keys:two 0'])
    },
  )

  test('after an answer that nobody can read is made with the same key', async () => {
    expect((await over({ keys: ['upstream_invalid_response', 'ok'] })).tried).toEqual(['keys:one 0', 'keys:one 0'])
  })

  test('without a place in the budget goes on to what answers well, and to nothing else', async () => {
    const retry = { budgetMin: 0, budgetPercent: 0 }
    const fallback = await over({ a: [limited(2000), 'ok'], f: ['ok'] }, { fallbacks: ['f'], retry })
    const alone = await over({ a: ['upstream_error', 'ok'] }, { retry })
    const failing = await over({ a: ['upstream_error'], b: ['ok'], c: ['ok'] }, { retry, failing: ['b'] })

    expect([fallback.error, fallback.tried]).toEqual([null, ['a 0', 'f 0']])
    expect([alone.error?.code, alone.tried]).toEqual(['all_targets_failed', ['a 0']])
    expect([failing.error, failing.tried]).toEqual([null, ['a 0', 'c 0']])
  })

  test('goes to no server that was drained meanwhile', async () => {
    const { error, tried } = await over({ a: ['upstream_timeout'], b: ['ok'], c: ['ok'] }, { drained: ['b'] })

    const alone = await over({ a: ['upstream_error', 'ok'] }, { drained: ['a'] })

    expect([error, tried, alone.tried]).toEqual([null, ['a 0', 'c 0'], ['a 0']])
  })

  test('goes to no such server with another credential, nor after the wait in which it was drained', async () => {
    const rotated = await over({ keys: ['upstream_auth_failed', 'ok'], b: ['ok'] }, { drained: ['keys'] })
    const waited = await over({ a: [limited(2000), 'ok'], f: ['ok'] }, { fallbacks: ['f'], drainedAt: { a: 1000 } })

    expect([rotated.tried, waited.tried]).toEqual([
      ['keys:one 0', 'b 0'],
      ['a 0', 'f 2000'],
    ])
  })

  test('goes to a target that was out when the call came as soon as it is back, before a fallback model, and in turn', async () => {
    const [later, random] = [['b'], () => 0.5]
    const outcomes = { a: ['upstream_error'], b: ['upstream_error'], f: ['ok'] } as const
    const back = await over(outcomes, { later, fallbacks: ['f'], maxAttempts: 2 })
    const inTurn = await over({ a: outcomes.a, b: outcomes.b }, { later, random, maxAttempts: 5 })
    const resting = await over(outcomes, { later, fallbacks: ['f'], resting: { b: 60_000 }, maxAttempts: 2 })
    const drained = await over(outcomes, { later, fallbacks: ['f'], drained: ['b'], maxAttempts: 2 })

    expect(back.tried).toEqual(['a 0', 'b 0'])
    expect(inTurn.tried).toEqual(['a 0', 'b 0', 'a 50', 'b 50', 'a 150'])
    for (const { tried } of [resting, drained]) expect(tried).toEqual(['a 0', 'f 0'])
  })

  test('does not wait past the deadline', async () => {
    const { error, tried } = await over({ a: [limited(2000)] }, { within: 1500 })

    expect([error?.code, tried]).toEqual(['provider_rate_limited', ['a 0']])
  })

  test('uses the next key of the same server at once', async () => {
    for (const refused of ['upstream_auth_failed', limited(2000)] as const) {
      const { error, tried, states } = await over({ keys: [refused, 'ok'], b: ['ok'] })

      expect(error).toBeNull()
      expect(tried).toEqual(['keys:one 0', 'keys:two 0'])
      // Others may go on with the key that is left.
      expect(states.target(target('keys')).coolUntil).toBe(0)
    }
  })

  test('uses the next key also without a place in the budget', async () => {
    const { tried } = await over({ keys: [limited(5000), 'ok'] }, { retry: { budgetMin: 0, budgetPercent: 0 } })

    expect(tried).toEqual(['keys:one 0', 'keys:two 0'])
  })

  test('goes to other servers when the next key is no better', async () => {
    const { tried } = await over({ keys: ['upstream_auth_failed', 'upstream_error'], b: ['ok'] })

    expect(tried).toEqual(['keys:one 0', 'keys:two 0', 'b 0'])
  })

  test('leaves out what is to be left alone because of other calls, and waits for it where nothing else is', async () => {
    const passed = await over({ a: ['upstream_error'], b: ['ok'], c: ['ok'] }, { resting: { b: 10_000 } })
    const waited = await over({ a: ['upstream_error', 'ok'] }, { resting: { a: 1000 } })
    const breaker = { threshold: 1 }
    const open = await over({ a: ['upstream_error', 'ok'] }, { breaker })

    expect([passed.error, passed.tried]).toEqual([null, ['a 0', 'c 0']])
    expect([waited.error, waited.tried]).toEqual([null, ['a 0', 'a 1000']])
    expect([open.error?.code, open.tried]).toEqual(['all_targets_failed', ['a 0']])
  })

  test('goes to each server once more at most while fallback models are left', async () => {
    const more = { maxAttempts: 6, random: () => 0.5 }
    const once = await over({ a: ['upstream_error'], f: ['ok'] }, { ...more, fallbacks: ['f'] })
    const next = await over({ a: ['upstream_tls_error'], f: ['upstream_error'], g: ['ok'] }, { fallbacks: ['f', 'g'] })

    expect(once.tried).toEqual(['a 0', 'a 50', 'f 50'])
    expect(next.tried).toEqual(['a 0', 'f 0', 'g 0'])
  })

  test('waits for the key of a server that is limited for a moment, although its other one is refused', async () => {
    const limit = [limited(500), 'upstream_auth_failed', 'ok'] as const
    const { error, tried, states } = await over({ keys: limit, f: ['ok'] }, { fallbacks: ['f'] })

    expect(error).toBeNull()
    expect(tried).toEqual(['keys:one 0', 'keys:two 0', 'keys:one 500'])
    expect(states.target(target('keys')).refusedUntil).toBe(0)
  })

  test('tells who has to wait when the first key of a server may be used again', async () => {
    const { error } = await over({ keys: [limited(10_000), limited(40_000)] })

    expect([error?.code, error?.retryAfterMs]).toEqual(['provider_rate_limited', 10_000])
  })

  test('is not made of what is stored when a server may have it', async () => {
    const body = { store: true }
    const sent = await over({ a: [fail('upstream_error')], b: ['ok'] }, { call: { body } })
    const unsent = await over({ a: [fail('upstream_error', { unsent: true })], b: ['ok'] }, { call: { body } })

    expect([sent.error?.shouldRetry, sent.tried]).toEqual([false, ['a 0']])
    expect([unsent.error, unsent.tried]).toEqual([null, ['a 0', 'b 0']])
  })

  test('of a prompt that is too long goes to a model that takes more, and to no other', async () => {
    const tooLong = fail('context_length_exceeded')
    const options = { fallbacks: ['f'] }
    const larger = await over({ a: [tooLong], b: ['ok'], f: ['ok'] }, { ...options, lengths: [8000, 32_000] })
    const smaller = await over({ a: [tooLong], f: ['ok'] }, { ...options, lengths: [8000, 4000] })
    const failing = await over({ a: [tooLong], f: ['upstream_tls_error'] }, { ...options, lengths: [8000, 32_000] })
    const invalid = await over({ a: [tooLong], f: ['invalid_request'] }, { ...options, lengths: [8000, 32_000] })
    const equal = await over({ a: [tooLong], f: ['ok'] }, { ...options, lengths: [8000, 8000] })
    const unknown = await over({ a: [tooLong], f: ['ok'] }, { ...options, lengths: [undefined, 32_000] })
    const tiresome = await over(
      { a: ['upstream_error', 'ok'], b: [tooLong], f: ['ok'] },
      { ...options, lengths: [8000, 32_000] },
    )

    expect([larger.error, larger.tried]).toEqual([null, ['a 0', 'f 0']])
    expect([smaller.error, smaller.tried]).toEqual([tooLong, ['a 0']])
    for (const { error, tried } of [failing, invalid]) expect([error, tried]).toEqual([tooLong, ['a 0', 'f 0']])
    for (const { error, tried } of [equal, unknown]) expect([error, tried]).toEqual([tooLong, ['a 0']])
    expect([tiresome.error, tiresome.tried]).toEqual([null, ['a 0', 'b 0', 'f 0']])
  })

  test('of a prompt that is too long goes to a larger model that was out when the call came, once it is back', async () => {
    const tooLong = fail('context_length_exceeded')
    const options = { fallbacks: ['f'], later: ['f'], lengths: [8000, 32_000] }
    const back = await over({ a: [limited(50), tooLong], f: ['ok'] }, { ...options, resting: { f: 40 } })
    const out = await over({ a: [limited(50), tooLong], f: ['ok'] }, { ...options, resting: { f: 60 } })

    expect([back.error, back.tried]).toEqual([null, ['a 0', 'a 50', 'f 50']])
    expect([out.error, out.tried]).toEqual([tooLong, ['a 0', 'a 50']])
  })

  test('of what is stored may go to a fallback model too: who has refused it has stored nothing', async () => {
    const outcomes = { a: [fail('context_length_exceeded')], f: ['ok'] } as const
    const options = { fallbacks: ['f'], lengths: [8000, 32_000], call: { body: { store: true } } }

    const { error, tried } = await over(outcomes, options)

    expect([error, tried]).toEqual([null, ['a 0', 'f 0']])
  })

  test('of what a filter has refused goes to other models only, and only where that is configured', async () => {
    const refused = fail('content_policy_violation')
    const outcomes = { a: [refused], b: ['ok'], f: ['ok'] } as const
    const options = { fallbacks: ['f'], retry: { afterFilter: true } }
    const usual = await over(outcomes, { fallbacks: ['f'] })
    const onward = await over(outcomes, options)
    const alone = await over({ a: [refused], b: ['ok'] }, { ...options, fallbacks: [] })
    const down = await over({ a: ['upstream_error', 'ok'], f: ['ok'] }, options)
    const failing = await over({ a: [refused], f: ['upstream_error'] }, options)
    const again = await over({ a: [refused], f: [fail('content_policy_violation')] }, options)

    expect([usual.error, usual.tried]).toEqual([refused, ['a 0']])
    expect([onward.error, onward.tried]).toEqual([null, ['a 0', 'f 0']])
    expect([alone.error, alone.tried]).toEqual([refused, ['a 0']])
    expect([down.error, down.tried]).toEqual([null, ['a 0', 'a 0']])
    expect([failing.error, failing.tried.slice(0, 2)]).toEqual([refused, ['a 0', 'f 0']])
    expect([again.error, again.tried]).toEqual([refused, ['a 0', 'f 0']])
  })

  test('of what a filter has refused goes to no other target of that model, nor to another one than its fallback', async () => {
    const refused = fail('content_policy_violation')
    const on = { fallbacks: ['f'], retry: { afterFilter: true } }
    const back = await over({ a: [refused], b: ['ok'], f: ['ok'] }, { ...on, later: ['b'] })
    const beside = await over({ a: [refused], b: ['ok'], f: ['ok'] }, { ...on, beside: ['b'] })
    const again = await over({ a: [refused], f: [refused], g: ['ok'] }, { ...on, fallbacks: ['f', 'g'] })

    for (const { error, tried } of [back, beside]) expect([error, tried]).toEqual([null, ['a 0', 'f 0']])
    expect([again.error, again.tried]).toEqual([refused, ['a 0', 'f 0']])
  })

  test('is promised to an attempt only where another model could still make it', async () => {
    const promised = async (options: Options, asked: Partial<Call> = {}) => {
      const { wants } = await over({ a: ['ok'], f: ['ok'] }, { ...options, call: asked })
      return wants
    }
    const on = { fallbacks: ['f'], retry: { afterFilter: true } }

    expect(await promised(on)).toEqual([true])
    expect(await promised({ ...on, retry: {} })).toEqual([false])
    expect(await promised({ ...on, fallbacks: [] })).toEqual([false])
    expect(await promised({ ...on, resting: { f: 1000 } })).toEqual([false])
    expect(await promised({ ...on, maxAttempts: 1 })).toEqual([false])
    expect(await promised(on, { body: { store: true } })).toEqual([false])
  })

  test('keeps one attempt of a stream back, which goes on elsewhere when it is cut', async () => {
    const keepOne = { retry: { keepOne: true }, call: { stream: true } }
    const spent = await over({ a: ['upstream_error'] }, keepOne)
    const plain = await over({ a: ['upstream_error'] }, { ...keepOne, call: {} })
    const { run, tried, error } = await over({ a: ['upstream_error'], b: ['upstream_error', 'ok'] }, keepOne)

    expect([spent.tried.length, plain.tried.length]).toEqual([3, 4])
    expect([error?.code ?? null, tried]).toEqual(['all_targets_failed', ['a 0', 'b 0', 'a 0']])
    await expect(run.next()).rejects.toMatchObject({ code: 'all_targets_failed' })
  })

  test('has the one that was kept back for going on, and none is kept back of a single one', async () => {
    const keepOne = { retry: { keepOne: true }, call: { stream: true } }
    const { run, tried } = await over(
      { a: ['upstream_error'], b: ['upstream_error'], c: ['ok'], d: ['ok'], e: ['ok'] },
      keepOne,
    )
    const single = await over({ a: ['ok'] }, { ...keepOne, maxAttempts: 1 })

    await run.next()

    expect(tried).toEqual(['a 0', 'b 0', 'c 0', 'd 0'])
    await expect(run.next()).rejects.toBeInstanceOf(GatewayError)
    expect([single.error, single.tried]).toEqual([null, ['a 0']])
  })

  test('passes a target over of which another call has taken the one trial, and gives its place back', async () => {
    const passed = await over({ a: ['ok'], b: ['ok'] }, { onTrial: ['a'], maxAttempts: 1 })
    const alone = await over({ a: ['ok'] }, { onTrial: ['a'] })

    expect([passed.error, passed.tried, passed.states.server('a').inFlight]).toEqual([null, ['b 0'], 0])
    expect([alone.error?.code, alone.tried, alone.states.server('a').inFlight]).toEqual(['no_healthy_upstream', [], 0])
    expect(alone.error?.retryAfterMs).toBe(1000)
  })

  test('goes to a target that is doubted whatever its breaker says, and ends no trial of it', async () => {
    const doubted = { doubted: ['a'], onTrial: ['a'] }
    const { error, tried } = await over({ a: ['upstream_error', 'ok'] }, doubted)
    const down = await over({ a: ['upstream_error'] }, { ...doubted, maxAttempts: 2 })

    expect([error, tried]).toEqual([null, ['a 0', 'a 0']])
    expect(down.tried).toEqual(['a 0', 'a 0'])
    expect(down.states.target(target('a')).breaker).toMatchObject({ openUntil: -1, trial: true, openings: 0 })
  })

  test('after a commit leaves out the target that broke off', async () => {
    const keepOne = { retry: { keepOne: true }, call: { stream: true } }
    const { run, tried } = await over({ a: ['ok'], b: ['ok'] }, keepOne)
    const again = await over({ a: ['upstream_error', 'ok'] }, keepOne)

    await run.next()

    for (const each of [run, again.run]) await expect(each.next()).rejects.toBeInstanceOf(GatewayError)
    expect([tried, again.tried]).toEqual([
      ['a 0', 'b 0'],
      ['a 0', 'a 0'],
    ])
  })

  test('after a commit leaves that target out also where a fallback model has it', async () => {
    const shared = { shared: ['a'], retry: { keepOne: true }, call: { stream: true } }
    const untried = await over({ a: ['ok'], b: ['ok'] }, shared)
    const rested = await over({ a: [limited(50), 'ok'] }, shared)
    await untried.run.next()

    for (const { run } of [untried, rested]) await expect(run.next()).rejects.toBeInstanceOf(GatewayError)
    expect([untried.tried, rested.tried]).toEqual([
      ['a 0', 'b 0'],
      ['a 0', 'a 50'],
    ])
  })

  test('ends with its scope, in the middle of a wait', async () => {
    const clock = fakeClock()
    const scope = createScope(clock)
    const deps = policiesFor(createStates(), clock, { random: () => 0.5 })
    const trail = { begin: () => ({ server: '', model: '', startedAt: 0, ms: 0, result: null, cause: null }) }
    const attempt: Attempt = () => Promise.reject(fail('upstream_error'))
    const run = failover(deps)(attempt)(call({ stream: false }), planOf(['a']), scope, trail).next()
    run.catch(() => {})
    await settled()
    expect(deps.budget.remaining()).toBe(2)

    scope.cancel(fail('client_closed_request'))

    await expect(run).rejects.toMatchObject({ code: 'client_closed_request' })
    expect([deps.budget.remaining(), clock.pending]).toEqual([3, 0])
  })
})

describe('when nothing is left, a caller is told', () => {
  test('the shortest wait of all servers, of each what it said last', async () => {
    const { error } = await over({ a: [limited(70_000)], b: [limited(2000), limited(90_000)], c: [limited(80_000)] })

    expect(error).toMatchObject({ code: 'provider_rate_limited', retryAfterMs: 70_000, shouldRetry: null })
    expect(error?.attempts.map(({ server }) => server)).toEqual(['a', 'b', 'c', 'b'])
  })

  test('to wait for a second where a server that limits its callers says nothing', async () => {
    expect((await over({ a: [limited(null)] }, { maxAttempts: 1 })).error?.retryAfterMs).toBe(1000)
  })

  test('that its quota is used up where every server says so', async () => {
    const used = await over({ a: ['insufficient_quota'], b: ['insufficient_quota'] })
    const mixed = await over({ a: ['insufficient_quota'], b: [limited(90_000)] })

    expect([used.error?.code, mixed.error?.code]).toEqual(['insufficient_quota', 'provider_rate_limited'])
  })

  test('what each server did, and how often', async () => {
    const { error } = await over({ a: ['upstream_error'], b: ['upstream_timeout'] })

    expect(error?.message).toBe('No model server could answer: a (upstream_error) 3 times, b (upstream_timeout).')
  })

  test('of a bad answer only where one server alone gave it', async () => {
    const several = await over({ a: ['upstream_tls_error'], b: ['upstream_tls_error'] })

    expect([several.error?.code, several.error?.retryAfterMs]).toEqual(['all_targets_failed', 1000])
  })
})

test('whatever fails, the attempts, the waits and the deadline are kept, and every place is given back', async () => {
  const random = seeded(11)
  const codes: readonly Outcome[] = [
    'ok',
    'upstream_error',
    'upstream_timeout',
    'upstream_invalid_response',
    'upstream_auth_failed',
    limited(null),
    limited(1000),
    limited(5000),
    'invalid_request',
  ]
  const pick = () => codes[Math.floor(random() * codes.length)] ?? 'ok'
  for (let n = 0; n < 150; n++) {
    const outcomes = Object.fromEntries(['a', 'b', 'keys', 'f'].map(id => [id, [pick(), pick(), pick()]]))
    const maxAttempts = 1 + Math.floor(random() * 6)
    const within = random() < 0.5 ? 60_000 : 1200
    const { error, tried, budget, states } = await over(outcomes, { fallbacks: ['f'], maxAttempts, within, random })

    expect(tried.length).toBeLessThanOrEqual(maxAttempts)
    for (const each of tried) expect(Number(each.split(' ')[1])).toBeLessThan(within)
    expect(budget.remaining()).toBe(3)
    const held = Object.keys(outcomes).reduce((sum, id) => sum + states.server(id).inFlight, 0)
    expect(held).toBe(error === null ? 1 : 0)
  }
})

test('a storm of failures costs a quarter more attempts than requests at most', async () => {
  const clock = fakeClock()
  const states = createStates()
  const record = recordOf()
  const deps = policiesFor(states, clock, { random: seeded(5), breaker: { enabled: false } })
  // The breakers stand still, so that the budget alone holds the storm.
  for (const id of ['a', 'b']) states.target(target(id)).breaker.failures = 1
  const plan = planOf(['a', 'b'])
  const trail = { begin: () => ({ server: '', model: '', startedAt: 0, ms: 0, result: null, cause: null }) }
  let [attempts, requests] = [0, 0]
  const attempt: Attempt = () => {
    attempts++
    return new Promise((_, reject) => clock.after(1000, () => reject(fail('upstream_error'))))
  }
  const count = (type: 'request-started' | 'request-settled') => deps.budget.subscriber({ type, record })
  for (let ms = 0; ms < 20_000; ms += 10) {
    requests++
    count('request-started')
    const run = failover(deps)(attempt)(call({ stream: false }), plan, createScope(clock), trail).next()
    run.catch(() => count('request-settled'))
    await settled(1)
    clock.advance(10)
  }

  expect(attempts / requests).toBeGreaterThan(1)
  expect(attempts / requests).toBeLessThanOrEqual(1.25)
})
