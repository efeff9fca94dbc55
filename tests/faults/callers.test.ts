import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { fakeClock } from '#tests/support/clock.ts'
import { fastest } from '#tests/support/fastest.ts'
import { startModelServer } from '#tests/support/gateway.ts'
import { gate } from '#tests/support/upstream.ts'
import { CALLERS, type CallerFault, CLOSED_WITHIN_MS } from './callers.ts'
import { CELLS, type Cell, soundAnswer } from './cells.ts'
import { OWN_KEY } from './fault.ts'
import { ask, closing, expectNothingLeft, lineOf, startBetween, TOPOLOGIES, type Topology } from './runner.ts'

setDefaultTimeout(20_000)

for (const fault of CALLERS) {
  describe(`${fault.id}: a caller that ${fault.name}`, () => {
    for (const cell of CELLS) {
      if (fault.calls !== 'both' && (fault.calls === 'stream') !== cell.stream) continue
      for (const topology of TOPOLOGIES) {
        // One after the other: how soon a server is left is measured.
        test(`${cell.name}, ${topology}`, async () => {
          expect(await fastest(CLOSED_WITHIN_MS, () => play(fault, cell, topology))).toBeLessThan(CLOSED_WITHIN_MS)
        })
      }
    }
  })
}

/** @returns How long the upstream stayed open after its caller had left, in milliseconds. */
async function play(fault: CallerFault, cell: Cell, topology: Topology): Promise<number> {
  const clock = fakeClock()
  clock.advance(1)
  const held = gate()
  const busy = fault.busy === true
  const start = (first: CallerFault['play']) =>
    startModelServer(
      request => {
        if (request.index > 0) return soundAnswer(request)
        return first === undefined ? [busy ? held : [], soundAnswer(request)] : first(cell)
      },
      { key: OWN_KEY },
    )
  await using server = await start(fault.play)
  await using other = await start(undefined)
  const servers = topology === 'one server' ? [server] : [server, other]
  const gateway = await startBetween({ a: server.url, b: other.url }, topology, {}, clock)
  await using _ = closing(gateway, [server, other])

  const openMs = await fault.act({ cell, gateway, clock, servers, release: held.open })

  const line = await lineOf(gateway, clock, { code: fault.line.code })
  expect(line).toMatchObject(fault.line)
  expect(server.calls).toHaveLength(busy ? 1 : fault.asked)
  expect(other.calls).toHaveLength(busy ? servers.length - 1 : 0)
  await Promise.all(server.calls.map(call => call.played))
  await expectNothingLeft(gateway, line)
  const next = await ask(gateway, cell)
  expect([next.status, next.headers.get('x-citadel-server')]).toEqual([200, 'a'])
  return openMs ?? 0
}
