import { expect, test } from 'bun:test'
import { createPace } from '#gateway/queue/pace.ts'
import { createStates } from '#registry/states.ts'
import { model, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'

test('how long calls hold their places is forgotten with the server', () => {
  const clock = fakeClock()
  const states = createStates()
  const pace = createPace(clock, states)
  const bounded = target('a', { maxConcurrent: 1 })
  const candidates = [{ target: bounded, model: model('m', [bounded]), reason: '' }]
  const takenAt = pace.taken(bounded)
  clock.advance(7000)
  pace.freed(bounded, takenAt)
  const before = pace.untilFree(candidates, 0)

  states.retain(new Set())

  expect([before, pace.untilFree(candidates, 0)]).toEqual([7000, 1000])
})
