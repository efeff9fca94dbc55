import { expect, test } from 'bun:test'
import { createMachineTime } from '#stores/machine-time.ts'

const STARTED_AT = 5_000_003

/** A machine whose own time is told in steps of ten milliseconds, and a process on it that each look costs a little.
 *
 * @param stops How long the process is kept waiting behind a look, by the number of the look. */
function machine(stops: Readonly<Record<number, number>>) {
  let truth = STARTED_AT
  let looks = 0
  return {
    now: () => truth - STARTED_AT,
    uptime() {
      truth += 0.05
      const told = Math.floor(truth / 10) * 10
      truth += stops[++looks] ?? 0
      return told
    },
    truth: () => truth,
  }
}

const stopAt = (first: number, last: number, ms: number) =>
  Object.fromEntries(Array.from({ length: last - first + 1 }, (_, at) => [first + at, ms]))

test.each([
  ['a quiet machine', {}],
  // The time changes behind the 140th look.
  ...Array.from({ length: 8 }, (_, at) => [`a stop at look ${136 + at}`, stopAt(136 + at, 136 + at, 300)] as const),
  // Shorter than a step: what is told is old by then, and the next look is a quick one.
  ...Array.from({ length: 8 }, (_, at) => [`a short stop at look ${136 + at}`, stopAt(136 + at, 136 + at, 6)] as const),
  ['a stop wherever it looks first', stopAt(1, 12, 40)],
])('tells the time of the machine after a start on %s', (_, stops) => {
  const { now, uptime, truth } = machine(stops)
  const time = createMachineTime(now, uptime)

  expect(Math.abs(time() - truth())).toBeLessThan(1)
})

test('gives about the same time in every process', () => {
  const [one, other] = [createMachineTime(), createMachineTime()]

  expect(Math.abs(one() - other())).toBeLessThan(10)
})
