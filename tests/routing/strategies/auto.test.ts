import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Abilities, ModelClass } from '#core/servers.ts'
import { createStates } from '#registry/states.ts'
import { createLineups } from '#routing/lineup.ts'
import { plan } from '#routing/plan.ts'
import { auto } from '#routing/strategies/auto.ts'
import { call, model } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'
import { seeded } from '#tests/support/random.ts'
import { strategyContext } from '#tests/support/strategies.ts'

const nothing: Abilities = { context_length: null, tools: null, vision: null, json_schema: null }

function candidate(name: string, modelClass: ModelClass | null, able: Partial<Abilities> = {}): Candidate {
  const target = targetOf(`${name}/m`, { abilities: { ...nothing, ...able } })
  return { target, model: model(name, [target], { class: modelClass }), reason: 'test' }
}

function chosen(candidates: readonly Candidate[], body: Call['body'], own = strategyContext()) {
  return auto.order(candidates, { ...own, call: call({ body }) })[0]?.model.name
}

const said = (content: string) => ({ messages: [{ role: 'user', content }] })
const tools = [{ type: 'function', function: { name: 'now' } }]
const image = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } }] }]

describe('auto', () => {
  test('gives small calls to small models and large ones to large models', () => {
    const models = [candidate('small', 'lightweight'), candidate('large', 'heavyweight')]

    expect(chosen(models, { ...said('Hello'), max_tokens: 50 })).toBe('small')
    expect(chosen(models, said('x'.repeat(60_000)))).toBe('large')
    expect(chosen(models, { ...said('Write a book.'), max_tokens: 8000 })).toBe('large')
  })

  test('never chooses a model that is known to be unable', () => {
    const kinds = fc.constantFrom<ModelClass | null>('lightweight', 'heavyweight', 'specialized', null)
    fc.assert(
      fc.property(kinds, kinds, fc.nat(3), fc.boolean(), (one, two, inFlight, first) => {
        const lacks: readonly { readonly body: Call['body']; readonly able: Partial<Abilities> }[] = [
          { body: { ...said('Hello'), tools }, able: { tools: false } },
          { body: { messages: image }, able: { vision: false } },
          { body: said('x'.repeat(40_000)), able: { context_length: 4096 } },
        ]
        for (const { body, able } of lacks) {
          const [unable, fit] = [candidate('unable', one, able), candidate('fit', two)]
          const models = (first ? [unable, fit] : [fit, unable]).map(each => each.model)
          const snapshot = snapshotOf(models, { algorithm: 'auto', intelligentRouting: true })
          const states = createStates()
          states.target(fit.target).inFlight = inFlight

          const deps = { clock: fakeClock(), random: seeded(1), lineups: createLineups() }
          expect(plan(call({ model: null, body }), snapshot, states, deps).model.name).toBe('fit')
        }
      }),
    )
  })

  test('turns to the less busy of two that fit', () => {
    const models = [candidate('a', null), candidate('b', null)]
    const own = strategyContext()
    const [busy] = models
    if (busy !== undefined) own.states.target(busy.target).inFlight = 1

    expect(chosen(models, said('Hello'), own)).toBe('b')
  })

  test('counts the calls that a server tells of and that are not ours', () => {
    const models = [candidate('a', null), candidate('b', null)]
    const own = strategyContext()
    own.states.server('a').others = 3

    expect(chosen(models, said('Hello'), own)).toBe('b')
  })
})
