import { expect, test } from 'bun:test'
import { createStates } from '#registry/states.ts'
import { type FleetReport, reportFleet, reportOnce } from '#src/compose/report.ts'
import { configFrom, createGateway } from '#src/index.ts'
import { model, server, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { snapshotOf } from '#tests/support/fleet.ts'

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
  clock.advance(1800)
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

test('a server that its first probe does not reach is told of, though its models are declared', async () => {
  const states = createStates()
  const looked = Promise.resolve()
  const clock = fakeClock()
  const fleet = {
    status: () => ({
      servers: [{ server: server('a'), state: states.server('a'), models: ['m'] }],
      missing: [],
      discovering: false,
    }),
    current: () => snapshotOf([model('m', [target('a')])]),
  }

  const { found, later } = reportOnce(looked, clock, () => reportFleet(fleet, {}))
  const texts = (report: FleetReport | null) => report?.lines.map(({ text }) => text)
  const before = texts(await found)
  states.server('a').reason = 'it cannot be reached'
  clock.advance(2000)

  expect(before).toEqual([expect.stringMatching(/: model m$/)])
  expect(texts(await later)).toEqual([expect.stringMatching(/: model m; it cannot be reached$/)])
})

test('who waits for the first look does not wait for the probes', async () => {
  const config = configFrom({ gateway: { discover: false, demo: true }, database: { url: 'sqlite::memory:' } })
  const gateway = createGateway(config, { clock: fakeClock(), write: () => {} })

  const first = await Promise.race([gateway.looked.then(() => 'looked'), gateway.later.then(() => 'probed')])
  await gateway.close()

  expect(first).toBe('looked')
})

test('of a large fleet those are shown first with which something is wrong', () => {
  const states = createStates()
  const servers = Array.from({ length: 21 }, (_, at) => ({
    server: server(`s${at}`),
    state: states.server(`s${at}`),
    models: ['m'],
  }))
  states.server('s20').reason = 'it cannot be reached'
  const status = () => ({ servers, missing: [], discovering: false })
  const current = () => snapshotOf([model('m', [target('s0')])])

  const [first, second] = reportFleet({ status, current }, {}).lines

  expect([first?.text, second?.text]).toEqual([expect.stringMatching(/^s20 .*reached$/), expect.stringMatching(/^s0 /)])
})

test('of a large fleet the first servers are shown, and where all of them are', () => {
  const states = createStates()
  const status = (count: number) => ({
    servers: Array.from({ length: count }, (_, at) => ({
      server: server(`s${at}`),
      state: states.server(`s${at}`),
      models: ['m'],
    })),
    missing: [],
    discovering: false,
  })
  const current = () => snapshotOf([model('m', [target('s0')])])
  const linesOf = (count: number) => reportFleet({ status: () => status(count), current }, {}).lines

  expect(linesOf(20).map(line => line.kind)).toEqual(Array(20).fill('server'))
  expect(linesOf(500)).toHaveLength(21)
  expect(linesOf(500).at(-1)).toEqual({ kind: '', text: 'and 480 more; /health/detailed shows all' })
})
