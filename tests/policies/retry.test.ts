import { describe, expect, test } from 'bun:test'
import type { Attempt, Candidate } from '#core/attempt.ts'
import { createScope } from '#core/scope.ts'
import { createQueue } from '#gateway/queue/queue.ts'
import { failover } from '#policies/failover.ts'
import { createStates } from '#registry/states.ts'
import { call, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { policiesFor } from '#tests/support/policies.ts'
import { fail, limited, over, planOf } from '#tests/support/retries.ts'

describe('when an attempt fails', () => {
  test('the other targets are tried at once, then the same ones again after a wait', async () => {
    const { error, tried } = await over(
      { a: ['upstream_error'], b: ['upstream_error', 'upstream_error'] },
      { random: () => 0.5 },
    )

    expect(error?.code).toBe('all_targets_failed')
    expect(tried).toEqual(['a 0', 'b 0', 'a 50', 'b 50'])
  })

  test('the upper bound of the random wait doubles with each failure, up to the longest one', async () => {
    const { tried } = await over({ a: ['upstream_error'] }, { random: () => 0.5, maxAttempts: 5 })
    const capped = await over(
      { a: ['upstream_error'] },
      { random: () => 0.5, maxAttempts: 5, retry: { backoffMaxMs: 200 } },
    )

    expect(tried).toEqual(['a 0', 'a 50', 'a 150', 'a 350', 'a 750'])
    expect(capped.tried).toEqual(['a 0', 'a 50', 'a 150', 'a 250', 'a 350'])
  })

  test('a wait that the server asks for is kept, rather than asking a fallback model', async () => {
    for (const refusal of [limited(2000), fail('upstream_error', { retryAfterMs: 2000 })]) {
      const { error, tried } = await over({ a: [refusal, 'ok'], f: ['ok'] }, { fallbacks: ['f'] })

      expect(error).toBeNull()
      expect(tried).toEqual(['a 0', 'a 2000'])
    }
  })

  test('the server that asks for the shortest wait is asked first', async () => {
    const { tried } = await over({ a: [limited(2000), 'ok'], b: [limited(1000), 'ok'] })

    expect(tried).toEqual(['a 0', 'b 0', 'b 1000'])
  })

  test('a server that asks for too long a wait gets a cooldown, and a fallback model answers', async () => {
    const { tried, states } = await over({ a: [limited(200_000)], f: ['ok'] }, { fallbacks: ['f'] })

    expect(tried).toEqual(['a 0', 'f 0'])
    expect(states.target(target('a')).coolUntil).toBe(60_000)
  })

  test('the last attempt goes to a fallback model', async () => {
    const { tried } = await over(
      { a: ['upstream_error'], b: ['upstream_error'], f: ['ok'] },
      { fallbacks: ['f'], maxAttempts: 3 },
    )

    expect(tried).toEqual(['a 0', 'b 0', 'f 0'])
  })

  test.each(['upstream_timeout', 'upstream_idle_timeout', 'upstream_tls_error'] as const)(
    'the same target is never tried again after %s',
    async code => {
      expect((await over({ a: [code] })).tried).toEqual(['a 0'])
    },
  )

  test('without a place in the retry budget, only targets that are not failing are tried', async () => {
    const retry = { budgetMin: 0, budgetPercent: 0 }
    const fallback = await over({ a: [limited(2000), 'ok'], f: ['ok'] }, { fallbacks: ['f'], retry })
    const alone = await over({ a: ['upstream_error', 'ok'] }, { retry })
    const failing = await over({ a: ['upstream_error'], b: ['ok'], c: ['ok'] }, { retry, failing: ['b'] })

    expect([fallback.error, fallback.tried]).toEqual([null, ['a 0', 'f 0']])
    expect([alone.error?.code, alone.tried]).toEqual(['all_targets_failed', ['a 0']])
    expect([failing.error, failing.tried]).toEqual([null, ['a 0', 'c 0']])
  })

  test('a wait does not go beyond the deadline', async () => {
    const { error, tried } = await over({ a: [limited(2000)] }, { within: 1500 })

    expect([error?.code, tried]).toEqual(['provider_rate_limited', ['a 0']])
  })

  test('each target is retried once at most while fallback models are left', async () => {
    const more = { maxAttempts: 6, random: () => 0.5 }
    const once = await over({ a: ['upstream_error'], f: ['ok'] }, { ...more, fallbacks: ['f'] })
    const next = await over({ a: ['upstream_tls_error'], f: ['upstream_error'], g: ['ok'] }, { fallbacks: ['f', 'g'] })

    expect(once.tried).toEqual(['a 0', 'a 50', 'f 50'])
    expect(next.tried).toEqual(['a 0', 'f 0', 'g 0'])
  })

  test('a call with store: true is not repeated when a server may have received it', async () => {
    const body = { store: true }
    const sent = await over({ a: [fail('upstream_error')], b: ['ok'] }, { call: { body } })
    const unsent = await over({ a: [fail('upstream_error', { unsent: true })], b: ['ok'] }, { call: { body } })

    expect([sent.error?.shouldRetry, sent.tried]).toEqual([false, ['a 0']])
    expect([unsent.error, unsent.tried]).toEqual([null, ['a 0', 'b 0']])
  })

  test('a wait ends with the scope of the call', async () => {
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

  test('a wait for a place after a failure ends as the call does', async () => {
    const [clock, states] = [fakeClock(), createStates()]
    const scope = createScope(clock)
    const queue = createQueue({ states, clock, available: () => true })
    const slots = queue.slotsFor({ caller: 'x', priority: 'normal', waited: () => {} })
    const trail = { begin: () => ({ server: '', model: '', startedAt: 0, ms: 0, result: null, cause: null }) }
    const attempt: Attempt = () => Promise.reject(fail('upstream_error'))
    const [first, second] = planOf(['a', 'b']).candidates as [Candidate, Candidate]
    const full = { ...second, target: { ...second.target, maxConcurrent: 1 } }
    states.target(full.target).inFlight = 1
    const plan = { ...planOf([]), candidates: [first, full] }
    const deps = { ...policiesFor(states, clock), slots }
    const run = failover(deps)(attempt)(call({ stream: false }), plan, scope, trail).next()
    run.catch(() => {})
    await settled()
    expect(queue.depth()).toBe(1)

    scope.cancel(fail('deadline_exceeded'))

    await expect(run).rejects.toMatchObject({ code: 'deadline_exceeded' })
  })
})
