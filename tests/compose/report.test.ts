import { expect, test } from 'bun:test'
import { type FleetReport, reportOnce } from '#src/compose/report.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const reportOf = (...texts: readonly string[]): FleetReport => ({
  lines: texts.map(text => ({ kind: 'server', text })),
  firstModel: null,
})

async function reports(first: FleetReport, last: FleetReport) {
  const clock = fakeClock()
  const looked = Promise.withResolvers<void>()
  let now = first
  const { found, later } = reportOnce(looked.promise, clock, () => now)
  await settled()
  clock.advance(200)
  await settled()
  now = last
  looked.resolve()
  return [await found, await later]
}

test('a look around that takes long is told of once more, and only in what it has found since', async () => {
  const [soon, late] = [reportOf('a: model x', 'b: nothing yet'), reportOf('a: model x', 'b: model y')]

  expect(await reports(soon, late)).toEqual([soon, reportOf('b: model y')])
})

test('a look around that finds nothing more is told of once', async () => {
  const same = reportOf('a: model x')

  expect(await reports(same, same)).toEqual([same, null])
})
