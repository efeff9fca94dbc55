import { describe, expect, test } from 'bun:test'
import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Health } from '#core/states.ts'
import { createStates } from '#registry/states.ts'
import { createLineups, type Supports } from '#routing/lineup.ts'
import { type PlanWishes, plan } from '#routing/plan.ts'
import { anyone, call, model, server } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'
import { seeded } from '#tests/support/random.ts'

const chat = model('chat', [targetOf('a/m'), targetOf('b/m'), targetOf('c/m')])

function planner(snapshot: Snapshot, supports?: Supports) {
  const states = createStates()
  const clock = fakeClock()
  const lineups = createLineups(supports)
  const deps = { clock, random: seeded(1), lineups }
  const planned = (more: Partial<Call> = {}, wishes?: PlanWishes) =>
    plan(call({ model: 'chat', ...more }), snapshot, states, deps, wishes)
  return {
    states,
    clock,
    planned,
    order: (more?: Partial<Call>, wishes?: PlanWishes) =>
      planned(more, wishes).candidates.map(({ target }) => target.id),
    refusal(more?: Partial<Call>, wishes?: PlanWishes): GatewayError | null {
      try {
        planned(more, wishes)
        return null
      } catch (thrown) {
        return thrown as GatewayError
      }
    },
    health: (servers: Readonly<Record<string, Health>>) => {
      for (const [id, health] of Object.entries(servers)) states.server(id).health = health
    },
    /** What strategies remember of candidates for chats with the first model. */
    kept: () => {
      const { turns } = lineups.of([...snapshot.models.values()].slice(0, 1), 'chat', snapshot)
      return [...turns.values()].reduce((sum, own) => sum + own.size, 0)
    },
    cool: (target: string, ms: number) => {
      states.target(targetOf(target)).coolUntil = clock.now() + ms
    },
  }
}

describe('a plan', () => {
  test('names its model and strategy, and gives every candidate a reason', () => {
    const { candidates, ...rest } = planner(snapshotOf([chat])).planned()

    expect(rest).toMatchObject({ model: { name: 'chat' }, strategy: 'weighted_round_robin' })
    expect(candidates.map(each => each.reason)).toEqual(['target of chat', 'target of chat', 'target of chat'])
  })

  test('rotates from call to call', () => {
    const { order } = planner(snapshotOf([chat]))

    expect([order()[0], order()[0], order()[0], order()[0]]).toEqual(['a/m', 'b/m', 'c/m', 'a/m'])
  })

  test.each([['chat'], ['a/m'], ['one']])('of %s refuses a strategy that nobody knows', name => {
    const { refusal } = planner(snapshotOf([chat, model('one', [targetOf('a/n')])]))

    expect(refusal({ model: name }, { server: null, strategy: 'bogus' })).toMatchObject({
      code: 'invalid_request',
      param: 'x-citadel-strategy',
    })
  })

  test('uses the strategy that the configuration names, or the call wishes for', () => {
    const { planned } = planner(snapshotOf([chat], { algorithm: 'least_busy' }))

    expect(planned().strategy).toBe('least_busy')
    expect(planned({}, { server: null, strategy: 'round_robin' }).strategy).toBe('round_robin')
  })

  test('leaves out what is unhealthy, drained or cooling', () => {
    const { order, health, states, cool } = planner(snapshotOf([chat]))
    health({ a: 'unhealthy', b: 'degraded', c: 'healthy' })
    expect(order().sort()).toEqual(['b/m', 'c/m'])

    states.server('b').draining = true
    expect(order()).toEqual(['c/m'])

    states.server('b').draining = false
    cool('c/m', 1000)
    expect(order()).toEqual(['b/m'])
  })

  test('takes a target back when it has cooled', () => {
    const { order, cool, clock } = planner(snapshotOf([chat]))
    cool('a/m', 1000)
    clock.advance(1000)

    expect(order()).toContain('a/m')
  })

  test('keeps targets of no weight for when the others fail', () => {
    const spare = model('chat', [targetOf('spare/m', { weight: 0 }), targetOf('a/m')])
    const { order, health, planned } = planner(snapshotOf([spare]))
    expect([order(), order()]).toEqual([
      ['a/m', 'spare/m'],
      ['a/m', 'spare/m'],
    ])

    health({ a: 'unhealthy' })
    expect(planned().candidates.map(each => each.reason)).toEqual(['standby of chat'])
  })

  test('is the same object while there is nothing to decide', () => {
    const { planned } = planner(snapshotOf([model('chat', [targetOf('a/m')])]))

    expect(planned()).toBe(planned())
  })

  test('for the only target there is, is refused while that is out', () => {
    const { cool, refusal, order } = planner(snapshotOf([model('chat', [targetOf('a/m')])]))
    expect(order()).toEqual(['a/m'])
    cool('a/m', 1000)

    expect(refusal()?.code).toBe('provider_rate_limited')
  })

  test('says whether its strategy learns from the answers, and whether it spares a load', () => {
    const { planned } = planner(snapshotOf([chat], { algorithm: 'latency' }))

    expect(planned()).toMatchObject({ observed: true, sparesLoad: false })
    expect(planner(snapshotOf([chat])).planned().observed).toBe(false)
  })

  test('leaves out servers of a kind that does not offer the endpoint', () => {
    const odd = targetOf('odd/m', { server: server('odd', { kind: 'other' }) })
    const supports: Supports = (kind, endpoint) => kind !== 'other' || endpoint === 'chat'
    const { order, refusal } = planner(
      snapshotOf([model('chat', [odd, targetOf('a/m')]), model('odd', [odd])]),
      supports,
    )

    expect(order({ endpoint: 'embeddings' })).toEqual(['a/m'])
    expect(order()).toHaveLength(2)
    expect(refusal({ model: 'odd', endpoint: 'embeddings' })).toMatchObject({ code: 'unsupported_parameter' })
  })
})

describe('a server that is named', () => {
  test('as server/model is the only candidate', () => {
    const { planned } = planner(snapshotOf([chat, model('other', [targetOf('d/m')])], { fallbackOrder: ['other'] }))

    const { candidates, strategy } = planned({ model: 'b/m' })

    expect(candidates.map(each => each.target.id)).toEqual(['b/m'])
    expect(strategy).toBe('explicit')
  })

  test('by a header is the only candidate', () => {
    const { order, refusal } = planner(snapshotOf([chat]))

    expect(order({}, { server: 'c', strategy: null })).toEqual(['c/m'])
    expect(refusal({}, { server: 'x', strategy: null })).toMatchObject({ code: 'invalid_request' })
  })

  test('is followed only by the fallbacks that the call itself names', () => {
    const fleet = [chat, model('other', [targetOf('d/m')], { fallbacks: ['last'] }), model('last', [targetOf('e/m')])]
    const { order } = planner(snapshotOf(fleet, { fallbackOrder: ['last'] }))

    expect(order({ model: 'b/m', fallbacks: ['other'] })).toEqual(['b/m', 'd/m'])
  })

  test('is refused when it is down', () => {
    const { refusal, health } = planner(snapshotOf([chat]))
    health({ b: 'unhealthy' })

    expect(refusal({ model: 'b/m' })).toMatchObject({ code: 'no_healthy_upstream' })
  })
})

describe('preferred servers', () => {
  const heavy = { ...chat, class: 'heavyweight' as const }

  test('come first, in their order, as long as they are available', () => {
    const { order, health } = planner(snapshotOf([heavy], { preferredServers: { heavyweight: ['c', 'b'] } }))
    expect([order(), order()]).toEqual([
      ['c/m', 'b/m', 'a/m'],
      ['c/m', 'b/m', 'a/m'],
    ])

    health({ c: 'unhealthy' })
    expect(order()).toEqual(['b/m', 'a/m'])
  })

  test('of another class change nothing', () => {
    const { order } = planner(snapshotOf([heavy], { preferredServers: { lightweight: ['c'] } }))

    expect(order()[0]).toBe('a/m')
  })
})

describe('when the gateway chooses', () => {
  const models = [
    model('big', [targetOf('a/big')], { weight: 3 }),
    model('small', [targetOf('b/small')], { weight: 1 }),
    model('spare', [targetOf('c/spare')], { weight: 0 }),
    model('demo', [targetOf('d/demo')], { eligible: false }),
  ]

  test('the models share the calls by their weights', () => {
    const { planned } = planner(snapshotOf(models, { intelligentRouting: true }))

    const chosen = Array.from({ length: 8 }, () => planned({ model: null }).model.name)

    expect(chosen.filter(name => name === 'big')).toHaveLength(6)
    expect(chosen.filter(name => name === 'small')).toHaveLength(2)
  })

  test('the other models follow as candidates, those of no weight last', () => {
    const { order } = planner(snapshotOf(models, { intelligentRouting: true }))

    expect(order({ model: null })).toEqual(['a/big', 'b/small', 'c/spare'])
  })

  test('only models that the key may use are candidates', () => {
    const { order } = planner(snapshotOf(models, { intelligentRouting: true }))
    const caller = { ...anyone, models: new Set(['small', 'spare']) }

    expect(order({ model: null, caller })).toEqual(['b/small', 'c/spare'])
  })

  test('another model is not asked either when none of these can answer', () => {
    const chatOnly = (id: string) => targetOf(id, { server: server(id, { kind: 'chat_only' }) })
    const fleet = [model('one', [chatOnly('a/m')]), model('two', [chatOnly('b/m')]), model('third', [targetOf('c/m')])]
    const caller = { ...anyone, models: new Set(['one', 'two']) }
    const { order, refusal } = planner(snapshotOf(fleet, { intelligentRouting: true }), kind => kind !== 'chat_only')

    expect(order({ model: null, endpoint: 'completions' })).toEqual(['c/m'])
    expect(refusal({ model: null, endpoint: 'completions', caller })?.code).toBe('unsupported_parameter')
  })
})

describe('fallbacks', () => {
  const first = model('chat', [targetOf('a/m')], { fallbacks: ['second'] })
  const second = model('second', [targetOf('b/m')], { fallbacks: ['third', 'chat'] })
  const third = model('third', [targetOf('c/m')], { fallbacks: ['chat'] })
  const last = model('last', [targetOf('d/m')])
  const vectors = model('vectors', [targetOf('e/m')], { class: 'embedding' })
  const fleet = [first, second, third, last, vectors]
  const settings = { fallbackOrder: ['last', 'vectors', 'second', 'unknown'] }

  test('follow in order, each once, whatever circles there are', () => {
    const { planned, order } = planner(snapshotOf(fleet, settings))

    expect(order()).toEqual(['a/m', 'b/m', 'c/m', 'd/m'])
    expect(planned().candidates.map(({ fallback }) => fallback)).toEqual([undefined, true, true, true])
  })

  test('come from the least to the most busy, each target once', () => {
    const models = [
      model('chat', [targetOf('a/m')], { fallbacks: ['spare', 'last'] }),
      model('spare', [targetOf('b/m'), targetOf('c/m'), targetOf('d/m')]),
      model('last', [targetOf('c/m'), targetOf('e/m')]),
    ]
    const { order, states } = planner(snapshotOf(models))
    for (const [id, calls] of [
      ['b/m', 2],
      ['c/m', 3],
      ['d/m', 1],
    ] as const)
      states.target(targetOf(id)).inFlight = calls

    expect(order()).toEqual(['a/m', 'd/m', 'b/m', 'c/m', 'e/m'])
  })

  test('are not on servers of a kind that does not offer the endpoint', () => {
    const target = targetOf('b/m')
    const models = [
      model('chat', [targetOf('a/m')], { fallbacks: ['spare'] }),
      model('spare', [{ ...target, server: { ...target.server, kind: 'mute' } }, targetOf('c/m')]),
    ]

    expect(planner(snapshotOf(models), kind => kind !== 'mute').order()).toEqual(['a/m', 'c/m'])
  })

  test('of the call come before those of the model', () => {
    const { planned } = planner(snapshotOf(fleet, settings))

    const { candidates } = planned({ fallbacks: ['last', 'unknown', 'last'] })

    expect(candidates.map(each => each.model.name)).toEqual(['chat', 'last', 'second', 'third'])
    expect(candidates.map(each => each.reason)).toEqual([
      'target of chat',
      'fallback named by the call',
      'fallback of chat',
      'fallback of second',
    ])
  })

  test('that the key may not use are skipped', () => {
    const { order } = planner(snapshotOf(fleet, settings))
    const caller = { ...anyone, models: new Set(['chat', 'third']) }

    expect(order({ caller, fallbacks: ['last'] })).toEqual(['a/m', 'c/m'])
  })

  test('and targets that are out are kept for later, in the same order', () => {
    const pair = model('pair', [targetOf('x/m'), targetOf('y/m')], { fallbacks: ['second'] })
    const { planned, health } = planner(snapshotOf([...fleet, pair], { fallbackEnabled: true }))
    const whole = planned({ model: 'pair' })

    health({ y: 'unhealthy', b: 'unhealthy' })
    const { candidates, later } = planned({ model: 'pair' })

    expect(whole.later).toBeUndefined()
    expect(candidates.map(({ target }) => target.id)).toEqual(['x/m', 'c/m', 'a/m'])
    expect(later?.map(({ target }) => target.id)).toEqual(['y/m', 'b/m'])
  })

  test('may be targets that the key may use, as they may be called', () => {
    const pair = model('pair', [targetOf('x/m'), targetOf('y/m')])
    const { order } = planner(snapshotOf([...fleet, pair], settings))
    const caller = { ...anyone, models: new Set(['chat', 'y/m']) }

    expect(order({ caller, model: 'y/m' })).toEqual(['y/m'])
    expect(order({ caller, fallbacks: ['x/m', 'pair', 'y/m'] })).toEqual(['a/m', 'y/m'])
  })

  test('are only those of the call when they are turned off', () => {
    const { order } = planner(snapshotOf(fleet, { ...settings, fallbackEnabled: false }))

    expect(order()).toEqual(['a/m'])
    expect(order({ fallbacks: ['third'] })).toEqual(['a/m', 'c/m'])
  })

  test('take over when no target of the model is available', () => {
    const { planned, health } = planner(snapshotOf(fleet, settings))
    health({ a: 'unhealthy' })

    expect(planned().model.name).toBe('second')
  })

  test('for embeddings are embedding models', () => {
    const { order } = planner(snapshotOf([vectors, chat], { fallbackOrder: ['chat'] }))

    expect(order({ model: 'vectors', endpoint: 'embeddings' })).toEqual(['e/m'])
  })

  test('for embeddings may have no class when the call or the model names them', () => {
    const embed = model('embed', [targetOf('f/m')], { class: 'embedding', fallbacks: ['second'] })
    const { order } = planner(snapshotOf([embed, second, last]))

    expect(order({ model: 'embed', endpoint: 'embeddings', fallbacks: ['last'] })).toEqual(['f/m', 'd/m', 'b/m'])
  })

  test('use up no turns of the fallback model', () => {
    const pair = model('pair', [targetOf('x/m'), targetOf('y/m')])
    const { order } = planner(snapshotOf([model('chat', [targetOf('a/m')], { fallbacks: ['pair'] }), pair]))
    order({ model: 'pair' })
    order()

    expect(order({ model: 'pair' })[0]).toBe('y/m')
  })

  test('that a call names share its calls while its own model is down, and leave nothing behind for each', () => {
    const pair = model('pair', [targetOf('b/m'), targetOf('c/m')])
    const snapshot = snapshotOf([model('chat', [targetOf('a/m')]), pair])
    const { order, health, kept } = planner(snapshot)
    health({ a: 'unhealthy' })

    const firsts = Array.from({ length: 20 }, () => order({ fallbacks: ['pair'] })[0])

    expect(firsts.slice(0, 4)).toEqual(['b/m', 'c/m', 'b/m', 'c/m'])
    expect(kept()).toBe(2)
  })

  test('keep to their weights and classes: what stands by, or is not preferred, comes last', () => {
    const targets = [targetOf('spare/m', { weight: 0 }), targetOf('b/m'), targetOf('c/m')]
    const other = model('other', targets, { class: 'heavyweight' })
    const more = { algorithm: 'round_robin', preferredServers: { heavyweight: ['c'] } }
    const { order, health } = planner(
      snapshotOf([model('chat', [targetOf('a/m')], { fallbacks: ['other'] }), other], more),
    )

    const behind = order()
    health({ a: 'unhealthy' })
    const instead = [order(), order(), order()]

    expect(behind).toEqual(['a/m', 'c/m', 'b/m', 'spare/m'])
    for (const each of instead) expect(each).toEqual(['c/m', 'b/m', 'spare/m'])
  })
})

describe('when nothing is available', () => {
  test('and every server is down, says so with a time', () => {
    const { refusal, health } = planner(snapshotOf([chat]))
    health({ a: 'unhealthy', b: 'unhealthy', c: 'unhealthy' })

    expect(refusal()).toMatchObject({ code: 'no_healthy_upstream', status: 503, retryAfterMs: 5000 })
  })

  test('and all are cooling, gives the smallest wait', () => {
    const { refusal, cool, health } = planner(snapshotOf([chat]))
    cool('a/m', 4000)
    cool('b/m', 1500.5)
    health({ c: 'unhealthy' })

    expect(refusal()).toMatchObject({ code: 'provider_rate_limited', status: 429, retryAfterMs: 1501 })
  })

  test('doubts the probes when under half of four or more are healthy', () => {
    const many = model(
      'chat',
      ['a', 'b', 'c', 'd'].map(id => targetOf(`${id}/m`)),
    )
    const { planned, health, cool } = planner(snapshotOf([many]))
    health({ a: 'unhealthy', b: 'unhealthy', c: 'unhealthy' })
    cool('d/m', 1000)
    cool('b/m', 1000)

    const { candidates } = planned()

    expect(candidates.map(each => each.target.id)).toEqual(['a/m', 'c/m'])
    expect(candidates[0]?.reason).toContain('although it seems to be down')
  })

  test('doubts nothing while at least half are healthy', () => {
    const many = model(
      'chat',
      ['a', 'b', 'c', 'd'].map(id => targetOf(`${id}/m`)),
    )
    const { refusal, health, cool } = planner(snapshotOf([many]))
    health({ a: 'unhealthy', b: 'unhealthy' })
    cool('c/m', 1000)
    cool('d/m', 2000)

    expect(refusal()).toMatchObject({ code: 'provider_rate_limited', retryAfterMs: 1000 })
  })

  test('leaves out a target with an open breaker, but for one trial, and one whose keys are refused', () => {
    const { order, states, clock } = planner(snapshotOf([chat], { algorithm: 'explicit' }))
    const [a, b] = [states.target(targetOf('a/m')), states.target(targetOf('b/m'))]
    a.breaker.openUntil = 1000
    b.refusedUntil = 1000
    expect(order()).toEqual(['c/m'])

    clock.advance(1000)
    expect(order()).toEqual(['a/m', 'b/m', 'c/m'])
    a.breaker.trial = true

    expect(order()).toEqual(['b/m', 'c/m'])
  })

  test('because a model has no targets at all, says so', () => {
    expect(planner(snapshotOf([model('chat', [])])).refusal()).toMatchObject({ code: 'no_healthy_upstream' })
  })
})
