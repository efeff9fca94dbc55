import { describe, expect, test } from 'bun:test'
import type { Target } from '#core/servers.ts'
import { createPace } from '#gateway/queue/pace.ts'
import { createStates } from '#registry/states.ts'
import { model, server, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'

const two = target('a', { maxConcurrent: 2 })
const one = target('b', { maxConcurrent: 1 })

function setup() {
  const clock = fakeClock()
  const states = createStates()
  const pace = createPace(clock, states)

  /** A call that holds its place for so long. */
  function hold(held: Target, ms: number) {
    const takenAt = pace.taken(held)
    clock.advance(ms)
    pace.freed(held, takenAt)
  }

  function untilFree(targets: readonly Target[], ahead: number) {
    const only = model('m', targets)
    return pace.untilFree(
      targets.map(each => ({ target: each, model: only, reason: '' })),
      ahead,
    )
  }

  return { clock, states, pace, hold, untilFree }
}

describe('the estimate of when a place is free', () => {
  test('is the mean hold time, times the calls ahead, divided by the places', () => {
    const { hold, untilFree } = setup()
    hold(two, 3000)

    expect([0, 1, 5].map(ahead => untilFree([two], ahead))).toEqual([1500, 3000, 9000])
  })

  test('is a moving average with a weight of one fifth for the newest call', () => {
    const { clock, hold, untilFree } = setup()
    clock.advance(10_000)
    hold(one, 1000)
    hold(one, 2000)

    expect(untilFree([one], 0)).toBe(1200)
  })

  test('is the mean over the targets where a call has ended', () => {
    const { pace, hold, untilFree } = setup()
    const fresh = target('c', { maxConcurrent: 1 })
    hold(one, 2000)
    hold(two, 1000)
    pace.taken(fresh)

    expect(untilFree([one, two, fresh], 3)).toBe(1500)
  })

  test('is at least the time since a place was last taken or freed at any target', () => {
    const { clock, pace, hold, untilFree } = setup()
    hold(one, 500)
    clock.advance(1000)
    pace.taken(one)
    clock.advance(4000)
    const still = untilFree([one], 0)
    pace.taken(two)

    expect([still, untilFree([one, two], 0), untilFree([one], 0)]).toEqual([4000, 167, 4000])
  })

  test('counts the places of a server and of a target once', () => {
    const { hold, untilFree } = setup()
    const home = server('a', { maxConcurrent: 3 })
    const [x, y] = [
      target('a', { id: 'a/x', maxConcurrent: 2, server: home }),
      target('a', { id: 'a/y', server: home }),
    ]
    hold(y, 6000)
    const open = untilFree([y], 0)
    hold(x, 6000)

    expect([open, untilFree([x, x], 1), untilFree([x, y], 2)]).toEqual([2000, 6000, 6000])
  })

  test('is one second while nothing is known, and always 100 ms to ten minutes', () => {
    const { hold, untilFree } = setup()
    const unknown = untilFree([two], 7)
    hold(two, 1)
    const least = untilFree([two], 0)
    hold(one, 300_000)

    expect([unknown, least, untilFree([one], 1), untilFree([one], 2)]).toEqual([1000, 100, 600_000, 600_000])
  })
})

test('how long calls hold their places is forgotten with the server', () => {
  const { states, hold, untilFree } = setup()
  hold(one, 7000)
  const before = untilFree([one], 0)

  states.retain(new Set())

  expect([before, untilFree([one], 0)]).toEqual([7000, 1000])
})
