import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { hasRoom, isResident } from '#routing/residence.ts'
import { resident } from '#routing/strategies/resident.ts'
import { candidatesOf } from '#tests/support/fleet.ts'
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

function idle(loaded: readonly string[]): Told {
  return { loaded, inFlight: 0, loading: null, others: 0 }
}
