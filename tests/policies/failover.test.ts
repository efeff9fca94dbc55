import { describe, expect, test } from 'bun:test'
import type { Attempt, AttemptEntry, Slots } from '#core/attempt.ts'
import { type Code, GatewayError } from '#core/errors.ts'
import { createJournal, type Fact } from '#core/journal.ts'
import { createScope } from '#core/scope.ts'
import type { Target } from '#core/servers.ts'
import { failover } from '#policies/failover.ts'
import { createStates } from '#registry/states.ts'
import { call, liveOf, model, planFor, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { policiesFor } from '#tests/support/policies.ts'

interface Options {
  readonly maxAttempts?: number
  /** Every server refuses the request in its first form, and is asked again in another one if it may be. */
  readonly refusing?: boolean
}

/** Runs a call over servers that fail with these codes; `ok` answers. */
async function over(outcomes: Readonly<Record<string, Code | 'ok'>>, options: Options = {}) {
  const clock = fakeClock()
  const states = createStates()
  const facts: Fact[] = []
  const entries: AttemptEntry[] = []
  const live = liveOf([])
  const attempt: Attempt = async ({ slot, again }) => {
    const refusal = new GatewayError('invalid_request', 'refused')
    if (options.refusing && !again?.takeOne(refusal)) throw refusal
    const outcome = outcomes[slot.candidate.target.server.id] ?? 'ok'
    if (outcome !== 'ok')
      throw new GatewayError(outcome, outcome, { retryAfterMs: outcome === 'provider_rate_limited' ? 5000 : null })
    return live
  }
  const journal = createJournal([fact => facts.push(fact)])
  const route = failover({ ...policiesFor(states, clock, { journal }), maxAttempts: options.maxAttempts ?? 4 })
  const plan = planFor(...Object.keys(outcomes))
  const trail = {
    begin(candidate: (typeof plan.candidates)[number]) {
      const entry: AttemptEntry = {
        server: candidate.target.server.id,
        model: 'm',
        startedAt: clock.now(),
        ms: 0,
        result: null,
        cause: null,
      }
      entries.push(entry)
      return entry
    },
  }
  const scope = createScope(clock, { within: 60_000 })
  const run = route(attempt)(call(), plan, scope, trail).next()
  const result = await run.then(
    answer => ({ answer, error: null }),
    (error: GatewayError) => ({ answer: null, error }),
  )
  return { ...result, tried: entries.map(({ server, result: how }) => `${server} ${how}`), states, plan, facts, clock }
}

describe('failover', () => {
  test('goes to the next target when one cannot answer', async () => {
    const { answer, tried } = await over({ a: 'upstream_error', b: 'ok' })

    expect(answer).not.toBeNull()
    expect(tried).toEqual(['a upstream_error', 'b ok'])
  })

  test.each([
    'invalid_request',
    'context_length_exceeded',
    'content_policy_violation',
    'unsupported_parameter',
  ] as const)('hands %s to the caller as it is', async code => {
    const { error, tried } = await over({ a: code, b: 'ok' })

    expect(error?.code).toBe(code)
    expect(tried).toEqual([`a ${code}`])
  })

  test('stops after the attempts that are allowed, and names each', async () => {
    const { error, tried } = await over({ a: 'upstream_error', b: 'upstream_error', c: 'ok' }, { maxAttempts: 2 })

    expect(tried).toEqual(['a upstream_error', 'b upstream_error'])
    expect(error).toMatchObject({ code: 'all_targets_failed', shouldRetry: false })
    expect(error?.attempts.map(({ server, result }) => [server, result])).toEqual([
      ['a', 'upstream_error'],
      ['b', 'upstream_error'],
    ])
  })

  test('counts each time that a server is asked, also again because it has refused', async () => {
    const outcomes = { a: 'upstream_error', b: 'upstream_error', c: 'ok' } as const
    const { error, tried } = await over(outcomes, { maxAttempts: 3, refusing: true })

    expect(error?.code).toBe('invalid_request')
    expect(tried).toEqual(['a invalid_request', 'a upstream_error', 'b invalid_request'])
  })

  const endings: readonly (readonly [Readonly<Record<string, Code>>, Code])[] = [
    [{ a: 'upstream_timeout', b: 'upstream_timeout' }, 'upstream_timeout'],
    [{ a: 'upstream_auth_failed', b: 'upstream_auth_failed' }, 'upstream_auth_failed'],
    [{ a: 'upstream_invalid_response' }, 'upstream_invalid_response'],
    [{ a: 'upstream_tls_error' }, 'upstream_tls_error'],
    [{ a: 'upstream_error', b: 'upstream_timeout' }, 'all_targets_failed'],
    [{ a: 'provider_rate_limited', b: 'provider_rate_limited' }, 'provider_rate_limited'],
  ]
  test.each(endings)('ends %o with the error %s', async (outcomes, code) => {
    const { error } = await over(outcomes)

    expect(error?.code).toBe(code)
  })

  test('a target that limits its callers is left alone for as long as it says', async () => {
    const { error, states, plan } = await over({ a: 'provider_rate_limited' })

    const [candidate] = plan.candidates
    expect(candidate && states.target(candidate.target).coolUntil).toBe(5000)
    expect(error?.retryAfterMs).toBe(5000)
  })

  test('every place is free again after a failure', async () => {
    const { states } = await over({ a: 'upstream_error', b: 'upstream_error' })

    expect([states.server('a').inFlight, states.server('b').inFlight]).toEqual([0, 0])
  })

  test('the place of a stream is free as soon as its time is over, though nobody reads it', async () => {
    const { states, plan, clock } = await over({ a: 'ok' })
    const places = () => plan.candidates.map(({ target: of }) => states.target(of).inFlight)
    const during = places()

    clock.advance(60_000)

    expect([during, places()]).toEqual([[1], [0]])
  })

  test('to another target of the same model is no fallback', async () => {
    const { facts } = await over({ a: 'upstream_error', b: 'ok' })

    expect(facts.filter(({ type }) => type === 'fallback-taken')).toEqual([])
  })

  test('says when another model takes over', async () => {
    const clock = fakeClock()
    const states = createStates()
    const facts: Fact[] = []
    const [first, second] = [target('a'), target('b')]
    const [asked, other] = [model('big', [first]), model('small', [second])]
    const plan = {
      model: asked,
      strategy: 'explicit',
      candidates: [
        { target: first, model: asked, reason: '' },
        { target: second, model: other, reason: '' },
      ],
    }
    const attempt: Attempt = async ({ slot }) => {
      if (slot.candidate.model === asked) throw new GatewayError('upstream_error', 'down')
      return liveOf([])
    }
    const deps = policiesFor(states, clock, { journal: createJournal([fact => facts.push(fact)]) })
    const trail = { begin: () => ({ server: '', model: '', startedAt: 0, ms: 0, result: null, cause: null }) }

    await failover(deps)(attempt)(call(), plan, createScope(clock), trail).next()

    expect(facts).toEqual([{ type: 'fallback-taken', from: 'big', to: 'small', reason: 'upstream_error' }])
  })

  test('a full house is queue_full, but behind a failure the failure is told, also after a wait', async () => {
    const [down, full] = [target('a'), target('b', { maxConcurrent: 1 })]
    const only = model('m', [down, full])
    const attempt: Attempt = () => Promise.reject(new GatewayError('upstream_error', 'down'))
    const trail = { begin: () => ({ server: '', model: '', startedAt: 0, ms: 0, result: null, cause: null }) }
    const over = (targets: readonly Target[], waits: boolean) => {
      const [clock, states] = [fakeClock(), createStates()]
      states.target(full).inFlight = 1
      const deps = policiesFor(states, clock)
      const slots: Slots = { ...deps.slots, take: async (...asked) => deps.slots.take(...asked) }
      const candidates = targets.map(each => ({ target: each, model: only, reason: '' }))
      const route = failover(waits ? { ...deps, slots } : deps)
      return route(attempt)(call(), { model: only, strategy: 'explicit', candidates }, createScope(clock), trail).next()
    }

    for (const waits of [false, true]) {
      await expect(over([full], waits)).rejects.toMatchObject({ code: 'queue_full', status: 429, retryAfterMs: 1000 })
      await expect(over([down, full], waits)).rejects.toMatchObject({
        code: 'all_targets_failed',
        attempts: [{ server: 'a', result: 'upstream_error' }],
      })
    }
  })

  test('what a server says behind the end of its call or its attempt counts for nothing', async () => {
    const ends = (code: Code, ofCall: boolean) => {
      const [clock, states] = [fakeClock(), createStates()]
      const scope = createScope(clock)
      const attempt: Attempt = async own => {
        const over = ofCall ? scope : own.scope
        over.cancel(new GatewayError(code, code))
        throw new GatewayError('upstream_error', 'cut off')
      }
      const trail = { begin: () => ({ server: '', model: '', startedAt: 0, ms: 0, result: null, cause: null }) }
      const run = failover(policiesFor(states, clock, { maxAttempts: 1 }))(attempt)
      return run(call(), planFor('a'), scope, trail).next()
    }

    await expect(ends('client_closed_request', true)).rejects.toMatchObject({ code: 'client_closed_request' })
    await expect(ends('upstream_timeout', false)).rejects.toMatchObject({ code: 'upstream_timeout' })
  })
})
