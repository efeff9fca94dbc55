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
})
