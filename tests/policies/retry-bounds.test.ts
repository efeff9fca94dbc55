import { expect, test } from 'bun:test'
import type { Attempt } from '#core/attempt.ts'
import { createScope } from '#core/scope.ts'
import { failover } from '#policies/failover.ts'
import { createStates } from '#registry/states.ts'
import { call, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { policiesFor } from '#tests/support/policies.ts'
import { seeded } from '#tests/support/random.ts'
import { recordOf } from '#tests/support/records.ts'
import { fail, limited, type Outcome, over, planOf } from '#tests/support/retries.ts'

test('whatever fails, the bounds of attempts, waits and deadline hold, and every place is given back', async () => {
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

test('while all servers fail, there are at most a quarter more attempts than requests', async () => {
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
