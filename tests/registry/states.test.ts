import { describe, expect, test } from 'bun:test'
import { createStates } from '#registry/states.ts'
import { targetOf } from '#tests/support/fleet.ts'

describe('states', () => {
  test('are one object for each target and server, whichever object asks', () => {
    const states = createStates()

    expect(states.target(targetOf('a/m'))).toBe(states.target(targetOf('a/m')))
    expect(states.target(targetOf('a/m')).server).toBe(states.server('a'))
    expect(states.target(targetOf('a/n')).server).toBe(states.server('a'))
  })

  test('begin unknown', () => {
    expect(createStates().server('a')).toMatchObject({ health: 'unknown', inFlight: 0, draining: false })
  })

  test('are forgotten with their servers, but not while they are needed', () => {
    const states = createStates()
    const kept = ['there/m', 'busy/m', 'drained/m', 'doubted/m'].map(id => targetOf(id))
    const before = kept.map(states.target)
    const gone = states.target(targetOf('gone/m'))
    states.server('busy').inFlight = 1
    states.server('drained').draining = true
    states.server('doubted').doubted = true

    states.retain(new Set(['there']))

    expect(kept.map(target => states.target(target) === before[kept.indexOf(target)])).toEqual(kept.map(() => true))
    expect(states.target(targetOf('gone/m'))).not.toBe(gone)
    expect(states.server('gone')).not.toBe(gone.server)
    expect(states.target(targetOf('gone/m')).server).toBe(states.server('gone'))
  })
})
