import { describe, expect, test } from 'bun:test'
import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import type { Target } from '#core/servers.ts'
import type { States } from '#core/states.ts'
import { createStates } from '#registry/states.ts'
import { model, server, target } from '#tests/support/calls.ts'

/** What the places at targets promise, wherever they are counted. */
export function slotsContract(name: string, create: (states: States) => Slots): void {
  function setup() {
    const states = createStates()
    const slots = create(states)
    const take = (...targets: readonly Target[]): Slot | null => {
      const only = model('m', targets)
      return slots.tryTake(targets.map((each): Candidate => ({ target: each, model: only, reason: '' })))
    }
    return { states, take }
  }

  describe(name, () => {
    test('a target takes as many calls as it has places, and one more when one is over', () => {
      const { take } = setup()
      const two = target('a', { maxConcurrent: 2 })
      const first = take(two)
      const others = [take(two), take(two)]
      first?.release()

      expect(first).not.toBeNull()
      expect(others.map(slot => slot !== null)).toEqual([true, false])
      expect(take(two)).not.toBeNull()
      expect(take(two)).toBeNull()
    })

    test('a place is given back once only', () => {
      const { take } = setup()
      const two = target('a', { maxConcurrent: 2 })
      const first = take(two)
      take(two)
      first?.release()
      first?.release()

      expect([take(two) !== null, take(two) !== null]).toEqual([true, false])
    })

    test('the places of a server are those of all its targets', () => {
      const { take } = setup()
      const home = server('a', { maxConcurrent: 2 })
      const [x, y] = [
        target('a', { id: 'a/x', server: home }),
        target('a', { id: 'a/y', server: home, maxConcurrent: 1 }),
      ]

      expect([take(x), take(y), take(x), take(y)].map(slot => slot !== null)).toEqual([true, true, false, false])
    })

    test('who finds the first target full gets the next one', () => {
      const { take } = setup()
      const [a, b] = [target('a', { maxConcurrent: 1 }), target('b', { maxConcurrent: 1 })]
      const taken = [take(a, b), take(a, b), take(a, b)]

      expect(taken.map(slot => slot?.candidate.target.server.id ?? null)).toEqual(['a', 'b', null])
    })

    test('a target without a bound is never full, and its calls are counted', () => {
      const { take, states } = setup()
      const open = target('a')
      for (let at = 0; at < 1000; at++) take(open)

      expect(states.target(open).inFlight).toBe(1000)
    })

    test('a target that was full with more places has more', () => {
      const { take } = setup()
      take(target('a', { maxConcurrent: 1 }))
      const wider = target('a', { maxConcurrent: 3 })

      expect([take(wider), take(wider), take(wider)].map(slot => slot !== null)).toEqual([true, true, false])
    })
  })
}
