import { expect, test } from 'bun:test'
import { QuietWatch } from '#gateway/upstream/quiet.ts'
import { fakeClock } from '#tests/support/clock.ts'

function startedClock() {
  const clock = fakeClock()
  clock.advance(1)
  return clock
}

/** A stream whose last choice has finished. */
function finished() {
  const clock = startedClock()
  let closed = 0
  const quiet = new QuietWatch(clock, 60_000, () => void closed++)
  quiet.begun = true
  quiet.wait()
  quiet.rest()
  quiet.shorten()
  return {
    clock,
    quiet,
    read(ms: number): void {
      quiet.wait()
      clock.advance(ms)
      quiet.rest()
    },
    closed: () => closed,
  }
}

test('behind a finish a server is waited for a second in all, however often it says something', () => {
  const { read, closed } = finished()

  for (let n = 0; n < 3; n++) read(300)
  const before = closed()
  read(300)

  expect([before, closed()]).toEqual([0, 1])
})

test('events that pass unread make that second no longer', () => {
  const { clock, quiet, closed } = finished()

  quiet.wait()
  for (let n = 0; n < 4; n++) {
    clock.advance(300)
    quiet.heard(clock.now())
  }

  expect(closed()).toBe(1)
})

test('the time that a caller takes to read is none that a server is waited for', () => {
  const { clock, read, closed } = finished()

  read(500)
  clock.advance(60_000)
  const before = closed()
  read(600)

  expect([before, closed()]).toEqual([0, 1])
})

test('a server that says something in time is waited for as long as the answer goes on', () => {
  const clock = startedClock()
  let closed = 0
  const quiet = new QuietWatch(clock, 1000, () => void closed++)
  quiet.begun = true

  for (let n = 0; n < 5; n++) {
    quiet.wait()
    clock.advance(900)
    quiet.rest()
  }
  const before = closed
  quiet.wait()
  clock.advance(1100)

  expect([before, closed]).toEqual([0, 1])
})
