import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Candidate } from '#core/attempt.ts'
import { hasRoom, isResident } from '#routing/residence.ts'
import { resident } from '#routing/strategies/resident.ts'
import type { StrategyContext } from '#routing/strategies/strategy.ts'
import { model } from '#tests/support/calls.ts'
import { candidatesOf, targetOf } from '#tests/support/fleet.ts'
import { seeded } from '#tests/support/random.ts'
import { strategyContext } from '#tests/support/strategies.ts'

interface Told {
  readonly loaded: readonly string[] | null
  readonly inFlight: number
  readonly loading: string | null
  readonly others: number
}

const server: fc.Arbitrary<Told> = fc.record({
  loaded: fc.constantFrom<Told['loaded'][]>(null, [], ['m'], ['other'], ['m', 'other']),
  inFlight: fc.nat(6),
  loading: fc.constantFrom<Told['loading'][]>(null, 'm', 'other'),
  others: fc.nat(2),
})

function setup(servers: readonly Told[]) {
  const candidates = candidatesOf(servers.map(() => 1))
  const own = strategyContext()
  for (const [index, { loaded, inFlight, loading, others }] of servers.entries()) {
    const state = own.states.server(`s${index}`)
    Object.assign(state, { loaded: loaded === null ? null : new Set(loaded), inFlight, loading, others })
  }
  return { candidates, own }
}

describe('resident', () => {
  test('loads no model while a server that has it has room', () => {
    fc.assert(
      fc.property(fc.array(server, { minLength: 1, maxLength: 6 }), servers => {
        const { candidates, own } = setup(servers)
        const [first] = resident.order(candidates, own)

        const ready = candidates.filter(each => isResident(each, own.states) && hasRoom(each, own.states))
        if (ready.length === 0 || first === undefined) return
        expect(ready).toContain(first)
      }),
    )
  })

  test('over 10,000 calls of six models loads none while a server that has it has room', () => {
    const models = ['m', 'n', 'o', 'p', 'q', 'r']
    const own = strategyContext(3)
    const random = seeded(3)
    const fleets = models.map(name => {
      const targets = [0, 1, 2, 3].map(index => targetOf(`s${index}/${name}`, { maxConcurrent: 2 }))
      return targets.map(target => ({ target, model: model(name, targets), reason: 'test' }))
    })
    for (let index = 0; index < 4; index++) own.states.server(`s${index}`).loaded = new Set([models[index] ?? ''])
    const running: Candidate[] = []
    let needless = 0
    for (let each = 0; each < 10_000; each++) {
      const candidates = fleets[Math.floor(random() * models.length)] ?? []
      const ready = candidates.filter(one => isResident(one, own.states) && hasRoom(one, own.states))
      const [first] = resident.order(candidates, own)
      if (first === undefined) throw new Error('nobody was chosen')
      if (ready.length > 0 && !ready.includes(first)) needless++
      const { server, upstreamModel } = first.target
      own.states.server(server.id).loaded = new Set([upstreamModel])
      enter(own, first, 1)
      running.push(first)
      if (running.length <= random() * 12) continue
      const [done] = running.splice(Math.floor(random() * running.length), 1)
      if (done !== undefined) enter(own, done, -1)
    }

    expect(needless).toBe(0)
  })

  test('spreads calls over the servers that have the model', () => {
    const { candidates, own } = setup([idle(['m']), idle(['other']), idle(['m'])])
    const [a, , c] = candidates
    const firsts = Array.from({ length: 4 }, () => resident.order(candidates, own)[0])

    expect(firsts).toEqual([a, c, a, c])
    expect(own.sparesLoad).toBe(true)
  })

  test('lets the server load whose model nobody has asked for longest', () => {
    const { candidates, own } = setup([idle(['x']), idle(['y']), idle(['z'])])
    for (const [index, at] of [900_000, 100_000, 999_000].entries()) own.states.server(`s${index}`).usedAt = at

    expect(resident.order(candidates, own).map(each => each.target.server.id)).toEqual(['s1', 's0', 's2'])
    expect(own.sparesLoad).toBe(false)
  })

  test('waits for room where the model is rather than load it at a busy server, but not at an idle one', () => {
    const order = (calls: number) => {
      const { candidates, own } = setup([
        { ...idle(['x']), inFlight: 1 },
        { ...idle(['m']), inFlight: calls },
        idle(['x']),
      ])
      return resident.order(candidates, own).map(each => each.target.server.id)
    }

    expect([order(3), order(4)]).toEqual([
      ['s1', 's2', 's0'],
      ['s2', 's1', 's0'],
    ])
  })

  test('waits at the least busy server that has the model when none has room', () => {
    const { candidates, own } = setup([idle(['m']), idle(['m']), idle(['m'])])
    for (const [at, calls] of [6, 4, 5].entries())
      Object.assign(own.states.target(targetOf(`s${at}/m`)), { inFlight: calls }).server.inFlight = calls

    expect(resident.order(candidates, own).map(each => each.target.server.id)).toEqual(['s1', 's2', 's0'])
  })

  test('lets the least busy of all busy servers load the model, counting the calls of others', () => {
    const { candidates, own } = setup([
      { ...idle(['x']), inFlight: 2, others: 1 },
      { ...idle(['x']), inFlight: 1 },
      { ...idle(['x']), others: 2 },
    ])

    expect(resident.order(candidates, own).map(each => each.target.server.id)).toEqual(['s1', 's2', 's0'])
  })

  test('knows of room by the bounds of target and server, and counts the calls of others', () => {
    const room = (
      bounds: readonly [target: number, server: number],
      calls: readonly [target: number, server: number],
      others = 0,
    ) => {
      const home = targetOf('s/m', { maxConcurrent: bounds[0] })
      const target = { ...home, server: { ...home.server, maxConcurrent: bounds[1] } }
      const { states } = strategyContext()
      states.target(target).inFlight = calls[0]
      Object.assign(states.server('s'), { inFlight: calls[1], others })
      return hasRoom({ target, model: model('m', [target]), reason: 'test' }, states)
    }

    expect([room([0, 0], [0, 3]), room([0, 0], [0, 4]), room([0, 0], [0, 3], 1)]).toEqual([true, false, false])
    expect([room([2, 0], [1, 9]), room([2, 0], [2, 2]), room([2, 0], [1, 1], 1)]).toEqual([true, false, false])
    expect([room([0, 6], [5, 5]), room([0, 6], [0, 6]), room([8, 6], [1, 5]), room([8, 6], [1, 6])]).toEqual([
      true,
      false,
      true,
      false,
    ])
  })

  test('counts what is being loaded only while a call waits for it', () => {
    const { candidates, own } = setup([
      { ...idle(['m']), loading: 'other' },
      { ...idle(['m']), loading: 'other', inFlight: 1 },
      { ...idle([]), inFlight: 1 },
    ])

    expect(candidates.map(each => isResident(each, own.states))).toEqual([true, false, false])
  })

  test('prefers an empty server to one that would have to make room', () => {
    const { candidates, own } = setup([idle(['x']), idle([])])

    expect(resident.order(candidates, own)[0]).toBe(candidates[1])
  })

  test('sends what comes meanwhile to the server that is loading the model, and nothing else there', () => {
    const { candidates, own } = setup([{ ...idle(['other']), inFlight: 1, loading: 'm' }, idle(['x'])])
    const others = setup([{ ...idle(['m']), inFlight: 1, loading: 'other' }, idle(['x'])])

    expect(resident.order(candidates, own)[0]).toBe(candidates[0])
    expect(resident.order(others.candidates, others.own)[0]).toBe(others.candidates[1])
  })
})

/** A call begins at a target, or is over. */
function enter({ states }: StrategyContext, { target }: Candidate, change: 1 | -1): void {
  const state = states.target(target)
  state.inFlight += change
  state.server.inFlight += change
}

function idle(loaded: readonly string[]): Told {
  return { loaded, inFlight: 0, loading: null, others: 0 }
}
