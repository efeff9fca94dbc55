import { describe, expect, test } from 'bun:test'
import type { States } from '#core/states.ts'
import { target } from '#tests/support/calls.ts'
import { limited, over } from '#tests/support/retries.ts'

const NO_BUDGET = { budgetPercent: 0, budgetMin: 0 }

describe('targets whose availability changes during a call', () => {
  test('a target whose trial another call has taken is passed over, and its place is given back', async () => {
    const passed = await over({ a: ['ok'], b: ['ok'] }, { onTrial: ['a'], maxAttempts: 1 })
    const back = await over(
      { a: ['ok'], b: ['ok'] },
      { onTrial: ['a'], later: ['b'], failing: ['b'], retry: NO_BUDGET },
    )
    const alone = await over({ a: ['ok'] }, { onTrial: ['a'] })
    const drained = await over({ a: ['ok'] }, { onTrial: ['a'], drained: ['a'] })

    for (const { error, tried, states } of [passed, back]) {
      expect([error, tried, states.server('a').inFlight]).toEqual([null, ['b 0'], 0])
    }
    // These places keep nobody waiting.
    expect([alone.error?.code, alone.tried, alone.states.server('a').inFlight]).toEqual(['queue_full', [], 0])
    expect([drained.error?.code, drained.error?.retryAfterMs]).toEqual(['no_healthy_upstream', 1000])
  })

  test('a target that is tried in doubt is called whatever its breaker says, and its trial goes on', async () => {
    const doubted = { doubted: ['a'], onTrial: ['a'] }
    const { error, tried } = await over({ a: ['upstream_error', 'ok'] }, doubted)
    const down = await over({ a: ['upstream_error'] }, { ...doubted, maxAttempts: 2 })

    expect([error, tried]).toEqual([null, ['a 0', 'a 0']])
    expect(down.tried).toEqual(['a 0', 'a 0'])
    expect(down.states.target(target('a')).breaker).toMatchObject({ openUntil: -1, trial: true, openings: 0 })
  })

  test('a target in a cooldown or with an open breaker is left out, and a cooldown is waited for when nothing else is left', async () => {
    const passed = await over({ a: ['upstream_error'], b: ['ok'], c: ['ok'] }, { resting: { b: 10_000 } })
    const waited = await over({ a: ['upstream_error', 'ok'] }, { resting: { a: 1000 } })
    const breaker = { threshold: 1 }
    const open = await over({ a: ['upstream_error', 'ok'] }, { breaker })

    expect([passed.error, passed.tried]).toEqual([null, ['a 0', 'c 0']])
    expect([waited.error, waited.tried]).toEqual([null, ['a 0', 'a 1000']])
    expect([open.error?.code, open.tried]).toEqual(['all_targets_failed', ['a 0']])
  })

  test('a server that was drained meanwhile is not tried', async () => {
    const { error, tried } = await over({ a: ['upstream_timeout'], b: ['ok'], c: ['ok'] }, { drained: ['b'] })

    const alone = await over({ a: ['upstream_error', 'ok'] }, { drained: ['a'] })

    expect([error, tried, alone.tried]).toEqual([null, ['a 0', 'c 0'], ['a 0']])
  })

  test('a server that was taken out of the fleet meanwhile is not tried, nor one that has refused every key', async () => {
    const outcomes = { a: ['upstream_timeout'], b: ['ok'], c: ['ok'] } as const
    const removed = await over(outcomes, { removed: ['b'] })
    const late = await over(outcomes, { removed: ['b'], later: ['b'], fallbacks: ['c'] })
    const refusing = await over(outcomes, { refusing: { b: 10_000 } })
    const again = await over({ a: ['upstream_error', 'ok'] }, { removed: ['a'] })

    for (const { tried } of [removed, late, refusing]) expect(tried).toEqual(['a 0', 'c 0'])
    expect(again.tried).toEqual(['a 0'])
  })

  test('a target that was unavailable at first is tried once it is back, before a fallback model and in turn', async () => {
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

  test('a server that is tried in doubt is left out where it limits its callers or refuses every key', async () => {
    const outcomes = { a: ['upstream_timeout'], b: ['ok'], f: ['ok'] } as const
    const inDoubt = { fallbacks: ['b', 'f'], doubted: ['b'] }
    const doubted = await over(outcomes, inDoubt)
    const limiting = await over(outcomes, { ...inDoubt, resting: { b: 10_000 } })
    const refusing = await over(outcomes, { ...inDoubt, refusing: { b: 10_000 } })

    expect(doubted.tried).toEqual(['a 0', 'b 0'])
    for (const { tried } of [limiting, refusing]) expect(tried).toEqual(['a 0', 'f 0'])
  })

  test('a target of which another call learns during a wait that it wants a longer one is left alone', async () => {
    const cool = (until: number) => (states: States) => Object.assign(states.target(target('a')), { coolUntil: until })
    const refuse = (states: States) => Object.assign(states.target(target('a')), { refusedUntil: 30_000 })
    const outcomes = { a: [limited(1000), 'ok'] } as const
    const longer = await over(outcomes, { meanwhile: { 500: cool(2000) } })
    const tooLong = await over(outcomes, { meanwhile: { 500: cool(20_000) } })
    const refused = await over({ ...outcomes, f: ['ok'] }, { fallbacks: ['f'], meanwhile: { 500: refuse } })

    expect([longer.error, longer.tried]).toEqual([null, ['a 0', 'a 2000']])
    expect([tooLong.error?.code, tooLong.tried]).toEqual(['provider_rate_limited', ['a 0']])
    expect(tooLong.error?.retryAfterMs).toBe(19_000)
    expect([refused.error, refused.tried]).toEqual([null, ['a 0', 'f 1000']])
  })
})
