import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Candidate } from '#core/attempt.ts'
import { addSample, averageFor } from '#core/average.ts'
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

  test('goes by the context of the target, not by the shortest one of its model', () => {
    const long = targetOf('mixed/m', { abilities: { ...nothing, context_length: 128_000 } })
    const mixed = model('mixed', [long, targetOf('small/m', { abilities: { ...nothing, context_length: 4096 } })], {
      capabilities: { context_length: 4096, tools: null, vision: null, prefill: false },
    })
    const models = [
      candidate('other', null, { context_length: 128_000 }),
      { target: long, model: mixed, reason: 'test' },
    ]
    const own = strategyContext()
    const names = [1, 2, 3, 4].map(() => chosen(models, said('x'.repeat(40_000)), own))

    expect(names).toEqual(['other', 'mixed', 'other', 'mixed'])
  })

  test('leaves one whose context the answer may not fit into, whatever their sizes', () => {
    const models = [
      candidate('fits', 'heavyweight', { context_length: 8192 }),
      candidate('short', 'lightweight', { context_length: 600 }),
    ]

    expect(chosen(models, said('x'.repeat(800)))).toBe('fits')
    expect(chosen(models, { ...said('x'.repeat(800)), max_tokens: 50 })).toBe('short')
  })

  test('turns to the less busy of two that fit', () => {
    const models = [candidate('a', null), candidate('b', null)]
    const own = strategyContext()
    const [busy] = models
    if (busy !== undefined) own.states.target(busy.target).inFlight = 1

    expect(chosen(models, said('Hello'), own)).toBe('b')
  })

  test('lets no server load the model while another has it, up to so many calls there', () => {
    const models = [candidate('a', null), candidate('b', null)]
    const chosenWith = (calls: number, loaded: readonly string[]) => {
      const own = strategyContext()
      own.states.server('a').loaded = new Set(['m'])
      own.states.target(targetOf('a/m')).inFlight = calls
      own.states.server('b').loaded = new Set(loaded)
      return chosen(models, said('Hello'), own)
    }

    // An empty one is worth two calls, one that would have to put another model out six.
    expect([chosenWith(1, []), chosenWith(3, [])]).toEqual(['a', 'b'])
    expect([chosenWith(5, ['other']), chosenWith(7, ['other'])]).toEqual(['a', 'b'])
  })

  test('takes one that is twice as slow for one call busier, and none for more than four', () => {
    const models = [candidate('quick', null), candidate('slow', null)]
    const chosenWith = (ms: number, calls: number) => {
      const own = strategyContext()
      const [quick, slow] = models.map(({ target }) => own.states.target(target))
      if (quick === undefined || slow === undefined) throw new Error('there are two')
      addSample(averageFor(quick, true), 100, 1)
      addSample(averageFor(slow, true), ms, 1)
      quick.inFlight = calls
      return new Set([1, 2].map(() => chosen(models, said('Hello'), own)))
    }
    const [quick, slow, either] = [new Set(['quick']), new Set(['slow']), new Set(['quick', 'slow'])]

    expect([chosenWith(199, 0), chosenWith(199, 1)]).toEqual([either, slow])
    expect([chosenWith(200, 0), chosenWith(200, 1), chosenWith(200, 2)]).toEqual([quick, either, slow])
    expect([chosenWith(60_000, 3), chosenWith(60_000, 4), chosenWith(60_000, 5)]).toEqual([quick, either, slow])
  })

  test('counts the calls that a server tells of and that are not ours', () => {
    const models = [candidate('a', null), candidate('b', null)]
    const own = strategyContext()
    own.states.server('a').others = 3

    expect(chosen(models, said('Hello'), own)).toBe('b')
  })
})
