import { expect, test } from 'bun:test'
import { type Code, GatewayError } from '#core/errors.ts'
import { cool, coolFor } from '#policies/cooldown.ts'
import { createStates } from '#registry/states.ts'
import { target } from '#tests/support/calls.ts'
import { settings } from '#tests/support/fleet.ts'

const retry = { ...settings.retry, maxWaitMs: 3000 }

/** For how long a target is left alone that fails so at 500 ms. */
function cooled(code: Code, retryAfterMs?: number) {
  const state = createStates().target(target('a'))
  const ms = cool(state, new GatewayError(code, code, { retryAfterMs }), 500, retry)
  return [ms, Math.max(0, state.coolUntil - 500)]
}

test.each(['provider_rate_limited', 'insufficient_quota'] as const)(
  'a target that says %s is left alone for as long as it asks, a second where it does not say, a minute at most',
  code => {
    expect([2000, undefined, 3_600_000].map(asked => cooled(code, asked))).toEqual([
      [2000, 2000],
      [1000, 1000],
      [60_000, 60_000],
    ])
  },
)

test('a target that fails is left alone only when it asks for more time than calls wait', () => {
  expect([undefined, 3000, 3001].map(asked => cooled('upstream_error', asked))).toEqual([
    [null, 0],
    [null, 0],
    [3001, 3001],
  ])
})

test('a target is not asked earlier than it said because it says less later, and nobody is told twice', () => {
  const state = createStates().target(target('a'))

  expect([coolFor(state, 5000, 0), coolFor(state, 1000, 500), coolFor(state, 4500, 500)]).toEqual([true, false, false])
  expect(state.coolUntil).toBe(5000)
})
