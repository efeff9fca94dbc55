import { expect, test } from 'bun:test'
import { createScope } from '#core/scope.ts'
import { Alone } from '#gateway/flights/alone.ts'
import { drain, frame, liveOf } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'

const frames = [frame('delta', 'one'), frame('delta', 'two'), frame('finish')]

function alone() {
  const clock = fakeClock()
  const live = liveOf(frames.map(each => [each]))
  const scope = createScope(clock, { within: 60_000 })
  return { clock, live, scope, alone: new Alone(live, scope) }
}

test('lets go of its source and of its clock once when the answer is whole, though its reader is still there', async () => {
  const { alone: read, clock, live, scope } = alone()

  const all = await drain(read)
  const after = [live.closed(), clock.pending]
  read.close()

  expect(all).toEqual(frames)
  expect(after).toEqual([1, 0])
  // What a server still has to say behind a whole answer is not cut off.
  expect([live.closed(), scope.ended]).toEqual([1, null])
})

test('ends its work when its reader leaves before, also what is tried in place of an answer that broke', async () => {
  const { alone: read, clock, live, scope } = alone()
  await read.next()

  read.close()

  expect([live.closed(), scope.ended?.code, clock.pending]).toEqual([1, 'client_closed_request', 0])
})
