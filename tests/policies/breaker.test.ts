import { describe, expect, test } from 'bun:test'
import type { Code } from '#core/errors.ts'
import { createJournal, type Fact } from '#core/journal.ts'
import { breakerOf } from '#core/states.ts'
import { createBreakers } from '#policies/breaker.ts'
import { createStates } from '#registry/states.ts'
import { target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { seeded } from '#tests/support/random.ts'

function setUp(options: { readonly enabled?: boolean; readonly random?: () => number } = {}) {
  const clock = fakeClock()
  const states = createStates()
  const facts: Fact[] = []
  const settings = { enabled: options.enabled ?? true, threshold: 5, openMs: 60_000 }
  const breakers = createBreakers({
    states,
    clock,
    journal: createJournal([fact => facts.push(fact)]),
    random: options.random ?? (() => 0.5),
    settings: () => settings,
  })
  const only = target('a')
  const state = states.target(only)
  return {
    clock,
    facts,
    state,
    breakers,
    admit: () => breakers.admit(only),
    commit: () => breakers.committed(only),
    succeed: () => breakers.succeeded(only),
    fail: (code: Code = 'upstream_error', times = 1) => {
      for (let n = 0; n < times; n++) breakers.failed(only, code)
    },
    failTrial: (code: Code = 'upstream_error') => breakers.failed(only, code, true),
    position: () => breakerOf(state, clock.now()),
    openFor: () => state.breaker.openUntil - clock.now(),
  }
}

describe('a circuit breaker', () => {
  test('opens after five failures in a row, and says so', () => {
    const { fail, position, admit, facts } = setUp()

    fail('upstream_error', 4)
    expect([position(), admit()]).toEqual(['closed', true])
    fail()

    expect([position(), admit()]).toEqual(['open', false])
    expect(facts).toEqual([{ type: 'breaker-opened', server: 'a', model: 'm', reason: 'upstream_error', ms: 60_000 }])
  })

  test('counts only failures in a row', () => {
    const { fail, succeed, position } = setUp()

    fail('upstream_error', 4)
    succeed()
    fail('upstream_error', 4)

    expect(position()).toBe('closed')
  })

  test('counts streams that break off, however often they begin', () => {
    const { fail, commit, position } = setUp()

    for (let n = 0; n < 5; n++) {
      commit()
      fail('upstream_idle_timeout')
    }

    expect(position()).toBe('open')
  })

  test.each(['upstream_invalid_response', 'upstream_tls_error', 'upstream_timeout', 'stream_interrupted'] as const)(
    'counts %s',
    code => {
      const { fail, position } = setUp()

      fail(code, 5)

      expect(position()).toBe('open')
    },
  )

  test.each([
    'provider_rate_limited',
    'insufficient_quota',
    'invalid_request',
    'context_length_exceeded',
    'upstream_auth_failed',
    'client_closed_request',
    'deadline_exceeded',
  ] as const)('does not count %s as a failure', code => {
    const { fail, position } = setUp()

    fail(code, 20)

    expect(position()).toBe('closed')
  })

  test('stays closed when it is switched off', () => {
    const { fail, position } = setUp({ enabled: false })

    fail('upstream_error', 20)

    expect(position()).toBe('closed')
  })

  test('admits one trial when its time is over, which closes it', () => {
    const { fail, clock, admit, commit, position, facts } = setUp()
    expect([admit(), admit()]).toEqual([true, true])
    fail('upstream_error', 5)

    clock.advance(60_000)
    expect(position()).toBe('half-open')
    expect([admit(), admit()]).toEqual([true, false])
    commit()

    expect([position(), admit(), admit()]).toEqual(['closed', true, true])
    expect(facts.at(-1)).toEqual({ type: 'breaker-closed', server: 'a', model: 'm' })
  })

  test('opens again, for longer, when the trial fails, up to five minutes', () => {
    const { fail, failTrial, clock, admit, openFor } = setUp()
    fail('upstream_error', 5)
    const lasted: number[] = []

    for (let n = 0; n < 7; n++) {
      lasted.push(openFor())
      clock.advance(openFor())
      admit()
      failTrial()
    }

    expect(lasted).toEqual([60_000, 120_000, 180_000, 240_000, 300_000, 300_000, 300_000])
  })

  test('that its trial has closed counts from nothing, and opens for longer when that is soon', () => {
    const { fail, clock, admit, commit, position, openFor } = setUp()
    fail('upstream_error', 5)
    clock.advance(60_000)
    admit()
    commit()
    clock.advance(300_000)

    fail('upstream_error', 4)
    expect(position()).toBe('closed')
    fail()
    expect(openFor()).toBe(120_000)
    clock.advance(120_000)
    expect([admit(), admit()]).toEqual([true, false])
  })

  test('forgets its earlier openings after five good minutes', () => {
    const { fail, clock, admit, commit, openFor } = setUp()
    fail('upstream_error', 5)
    clock.advance(60_000)
    admit()
    commit()

    clock.advance(300_001)
    fail('upstream_error', 5)

    expect(openFor()).toBe(60_000)
  })

  test('gives its trial back when that ends without an answer', () => {
    const { fail, failTrial, clock, admit } = setUp()
    fail('upstream_error', 5)
    clock.advance(60_000)

    admit()
    failTrial('client_closed_request')

    expect(admit()).toBe(true)
  })

  test('admits its trial at once when a probe is good', () => {
    const { fail, clock, state, admit, position } = setUp()
    clock.advance(1000)
    state.server.provedAt = clock.now()
    fail('upstream_error', 5)
    expect([position(), admit()]).toEqual(['open', false])

    clock.advance(5000)
    state.server.provedAt = clock.now()

    expect([position(), admit(), admit()]).toEqual(['half-open', true, false])
  })

  test('is not moved by what began before it opened', () => {
    const { fail, succeed, openFor, position } = setUp()
    fail('upstream_error', 5)

    fail('upstream_error', 5)
    succeed()

    expect([openFor(), position()]).toEqual([60_000, 'open'])
  })

  test('waits for its one trial, whatever becomes of what began before it opened', () => {
    const { fail, succeed, clock, admit, openFor, position } = setUp()
    fail('upstream_error', 5)
    clock.advance(60_000)
    admit()

    fail('client_closed_request')
    fail('upstream_error', 5)
    succeed()

    expect([admit(), position(), openFor()]).toEqual([false, 'half-open', 0])
  })

  test('lasts a tenth more or less, by chance', () => {
    const shortest = setUp({ random: () => 0 })
    const longest = setUp({ random: () => 0.999_999 })
    for (const { fail } of [shortest, longest]) fail('upstream_error', 5)

    expect([shortest.openFor(), longest.openFor()]).toEqual([54_000, 66_000])
  })

  test('never admits two trials, and never stays open for good, whatever happens', () => {
    const random = seeded(7)
    const { fail, failTrial, succeed, commit, clock, admit, position, openFor } = setUp({ random })
    let trials = 0
    for (let n = 0; n < 5000; n++) {
      const what = random()
      if (what < 0.3) clock.advance(random() * 60_000)
      else if (position() === 'closed') {
        if (what < 0.6) fail()
        else if (what < 0.7) succeed()
        trials = 0
      } else if (what < 0.8) {
        if (admit()) trials++
        expect(trials).toBeLessThanOrEqual(1)
      } else if (what < 0.85) {
        if (what < 0.83) fail(what < 0.82 ? 'client_closed_request' : 'upstream_error')
        else succeed()
      } else if (trials === 1) {
        if (what < 0.93) failTrial()
        else commit()
        trials = 0
      }
      expect(openFor()).toBeLessThanOrEqual(330_000)
    }
  })
})
