import { describe, expect, test } from 'bun:test'
import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Model, Target } from '#core/servers.ts'
import { createStates } from '#registry/states.ts'
import { explainPlan } from '#routing/explain.ts'
import { createLineups } from '#routing/lineup.ts'
import { type PlanWishes, plan } from '#routing/plan.ts'
import { anyone, call, model } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'
import { seeded } from '#tests/support/random.ts'

const NO_WISHES: PlanWishes = { server: null, strategy: null }
const UNKNOWN = { context_length: null, tools: null, vision: null, json_schema: null }

const told = (excluded: readonly Candidate[]) => excluded.map(({ target, reason }) => `${target.server.id}: ${reason}`)

function setup(
  { fallbacks = [], ...more }: Partial<Target> & Partial<Pick<Model, 'fallbacks'>> = {},
  others: readonly Model[] = [],
) {
  const states = createStates()
  const clock = fakeClock()
  const deps = { clock, random: seeded(1), lineups: createLineups() }
  const targets = ['a', 'b', 'c'].map(id => targetOf(`${id}/m`, more))
  const snapshot = snapshotOf([model('chat', targets, { fallbacks }), ...others])
  return {
    states,
    clock,
    state: (id: string) => states.target(targetOf(`${id}/m`)),
    first: () => plan(call({ model: 'chat' }), snapshot, states, deps).candidates[0]?.target.server.id,
    explain: (more: Partial<Call> = {}, wishes: Partial<PlanWishes> = {}) =>
      explainPlan(call({ model: 'chat', ...more }), snapshot, states, deps, { ...NO_WISHES, ...wishes }),
  }
}

describe('an explanation', () => {
  test('uses up no turn', () => {
    const { explain, first } = setup()

    const told = [explain(), explain(), explain()].map(({ plan: planned }) => planned?.candidates[0]?.target.server.id)

    expect(told).toEqual(['a', 'a', 'a'])
    expect([first(), first(), first()]).toEqual(['a', 'b', 'c'])
  })

  test('tells the home of a prompt without giving it one', () => {
    const { explain } = setup()
    const scores = () => explain({}, { strategy: 'affinity' }).candidates.map(({ score }) => Number(score) < 0)

    expect([scores(), scores()].flat()).toEqual(Array.from({ length: 6 }, () => false))
  })

  test('has the score by which the strategy ranks, lowest first', () => {
    const { explain, state } = setup()
    for (const [id, inFlight] of Object.entries({ a: 3, b: 0, c: 1 })) state(id).inFlight = inFlight

    const { candidates, measure } = explain({}, { strategy: 'resident' })

    expect(candidates.map(({ candidate, score }) => [candidate.target.server.id, score])).toEqual([
      ['b', 0],
      ['c', 1],
      ['a', 3],
    ])
    expect(measure).toStartWith('calls in flight')
    expect(explain({}, { strategy: 'random' }).candidates.map(({ score }) => score)).toEqual([null, null, null])
    expect(explain({}, { strategy: 'cost' }).candidates.map(({ score }) => score)).toEqual([null, null, null])
  })

  test('says why the others are left out', () => {
    const { explain, state, clock } = setup()
    clock.advance(5000)
    Object.assign(state('a').server, { health: 'unhealthy', reason: 'it cannot be reached' })
    state('b').coolUntil = clock.now() + 2001
    const before = told(explain().excluded)
    Object.assign(state('a').server, { reason: null })
    state('b').coolUntil = clock.now() + 1

    expect(before).toEqual(['a: its server is down: it cannot be reached', 'b: it limits its callers for another 3 s'])
    expect(told(explain().excluded)).toEqual([
      'a: its server is down: its probes fail',
      'b: it limits its callers for another 1 s',
    ])
  })

  test.each([
    ['its server is drained', { draining: true }, {}],
    ['it refuses the credentials of the gateway', {}, { refusedUntil: Infinity }],
  ])('knows that %s', (reason, server, target) => {
    const { explain, state } = setup()
    Object.assign(state('a').server, server)
    Object.assign(state('a'), target)

    expect(explain().excluded[0]?.reason).toBe(reason)
  })

  test('knows an open breaker, and what the call did not ask for', () => {
    const { explain, state, clock } = setup()
    clock.advance(5000)
    Object.assign(state('a').breaker, { openUntil: clock.now() + 60_000, openedAt: clock.now() })

    expect(explain({}, { server: 'b' }).excluded.map(({ reason }) => reason)).toEqual([
      'its circuit breaker is open for 60 s',
      'the call does not ask for it',
    ])
  })

  test('says it of the fallbacks that the call names, too', () => {
    const { states, explain } = setup({ fallbacks: [] }, [model('spare', [targetOf('d/m')])])
    states.server('d').draining = true

    const { candidates, excluded } = explain({ fallbacks: ['spare'] })

    expect(candidates).toHaveLength(3)
    expect(told(excluded)).toEqual(['d: its server is drained'])
  })

  test('says what the targets lack when all lack it', () => {
    const { explain } = setup({ abilities: { ...UNKNOWN, vision: false } })
    const content = [{ type: 'image_url', image_url: { url: 'data:image/png;base64,' } }]

    const { refusal, excluded } = explain({ body: { messages: [{ role: 'user', content }] } })

    expect(refusal?.code).toBe('unsupported_parameter')
    expect(told(excluded)).toEqual(['a', 'b', 'c'].map(id => `${id}: cannot read images`))
  })

  test('says which targets seem too short where others are not', () => {
    const short = targetOf('s/m', { abilities: { ...UNKNOWN, context_length: 10 } })
    const { explain } = setup({ fallbacks: ['spare'] }, [model('spare', [short])])

    const { candidates, excluded } = explain({ body: { messages: [{ role: 'user', content: 'Hi'.repeat(200) }] } })

    expect(candidates).toHaveLength(3)
    expect(told(excluded)).toEqual([expect.stringMatching(/^s: holds 10 tokens, this call may need \d+$/)])
  })

  test('says which models the key may not use', () => {
    const { explain } = setup({ fallbacks: ['spare'] }, [model('spare', [targetOf('d/m')])])

    const { candidates, excluded } = explain({ caller: { ...anyone, models: new Set(['chat']) } })

    expect(candidates).toHaveLength(3)
    expect(told(excluded)).toEqual(['d: the key may not use its model'])
  })

  test('says why the one target is left out that the key may use', () => {
    const { explain, state } = setup()
    state('a').server.draining = true

    const { excluded } = explain({ model: 'a/m', caller: { ...anyone, models: new Set(['a/m']) } })

    expect(told(excluded)[0]).toBe('a: its server is drained')
  })

  test('has the refusal of a call that nobody can answer', () => {
    const { explain, state } = setup()
    for (const id of ['a', 'b', 'c']) state(id).server.draining = true

    const { plan: planned, refusal, excluded } = explain()

    expect([planned, refusal?.code, excluded.length]).toEqual([null, 'no_healthy_upstream', 3])
    expect(explain({ model: 'nobody' }).refusal?.code).toBe('model_not_found')
    expect(explain({}, { strategy: 'luck' }).refusal?.code).toBe('invalid_request')
  })
})
