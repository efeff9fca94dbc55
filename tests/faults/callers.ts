import { expect } from 'bun:test'
import { type FakeClock, settled } from '#tests/support/clock.ts'
import type { ModelServer, TestGateway } from '#tests/support/gateway.ts'
import { type RawClient, rawClient } from '#tests/support/raw-client.ts'
import { bytes, hang, head, type Steps, sse } from '#tests/support/upstream.ts'
import type { Cell } from './cells.ts'
import { ask } from './runner.ts'

/** How soon the upstream must be closed after its caller has left, in milliseconds. */
export const CLOSED_WITHIN_MS = 100
const BODY_MS = 31_000
const STALLED_MS = 61_000
const HELD_LOOKS = 10
const HELD_LOOK_MS = 50

/** What a caller does its mischief with. */
export interface Stage {
  readonly cell: Cell
  readonly gateway: TestGateway
  readonly clock: FakeClock
  /** The servers of the call in their order, the first one playing `CallerFault.play`. */
  readonly servers: readonly ModelServer[]
  /** Lets the servers answer that hold their calls. */
  readonly release: () => void
}

/** Something that a caller does; no server is to blame, and none is asked instead. */
export interface CallerFault {
  readonly id: string
  readonly name: string
  readonly calls: 'plain' | 'stream' | 'both'
  /** What the server does meanwhile. */
  readonly play?: (cell: Cell) => Steps
  /** Whether every server is busy with another call. */
  readonly busy?: boolean
  /** What is logged of the call. */
  readonly line: { readonly status: number; readonly code: string; readonly outcome: string }
  /** How often the first server has heard of the call. */
  readonly asked: 0 | 1
  /** Gives how long the upstream stayed open after the caller had left, in milliseconds, where it matters. */
  readonly act: (stage: Stage) => Promise<number | undefined>
}

const LEFT = { status: 499, code: 'client_closed_request', outcome: 'cancelled' } as const
const BROKEN_OFF = { ...LEFT, status: 200 } as const
const SLOW = { status: 408, code: 'request_timeout', outcome: 'denied' } as const

export const CALLERS: readonly CallerFault[] = [
  {
    id: 'F25',
    name: 'leaves before the answer',
    calls: 'both',
    play: () => hang(),
    line: LEFT,
    asked: 1,
    act: stage => leave(stage),
  },
  {
    id: 'F25',
    name: 'leaves in the middle of the answer',
    calls: 'plain',
    play: ({ whole }) => [head(200, { 'content-length': `${whole.length}` }), bytes(whole.slice(0, 9)), hang()],
    line: LEFT,
    asked: 1,
    act: stage => leave(stage),
  },
  {
    id: 'F25',
    name: 'leaves in the middle of the answer',
    calls: 'stream',
    play: ({ events }) => sse([...events.slice(0, 2), hang()]),
    line: BROKEN_OFF,
    asked: 1,
    act: stage => leave(stage, 'Hello'),
  },
  {
    id: 'F25',
    name: 'leaves while it waits for a place',
    calls: 'both',
    busy: true,
    line: LEFT,
    asked: 0,
    act: leaveQueue,
  },
  {
    id: 'F26',
    name: 'stops reading',
    calls: 'stream',
    play: ({ events }) => sse([...events.slice(0, 2), ...Array.from({ length: 24 }, () => longer(events[1]))]),
    line: BROKEN_OFF,
    asked: 1,
    act: stopReading,
  },
  { id: 'F27', name: 'sends half of its request', calls: 'both', line: SLOW, asked: 0, act: sendHalf },
]

/** The same event with a megabyte of text: more of them than any buffer on the way takes. */
function longer(event: object | string | undefined): object {
  return JSON.parse(JSON.stringify(event).replace('Hello', 'x'.repeat(1_000_000)))
}

async function leave({ cell, gateway, servers: [server] }: Stage, sight?: string): Promise<number> {
  const client = open(gateway, cell)
  const call = await server?.called(1)
  if (sight !== undefined) await client.until(text => text.includes(sight))
  await settled()
  const leftAt = performance.now()
  client.socket.destroy()
  const closedAt = (await call?.closed) ?? Infinity
  expect(call?.closedBy).toBe('client')
  return closedAt - leftAt
}

async function leaveQueue({ cell, gateway, servers, release }: Stage): Promise<undefined> {
  const running: Promise<unknown>[] = []
  for (const server of servers) {
    running.push(ask(gateway, cell))
    await server.called(1)
  }
  const client = open(gateway, cell)
  await depth(gateway, 1)
  client.socket.destroy()
  await depth(gateway, 0)
  release()
  await Promise.all(running)
}

async function stopReading({ cell, gateway, clock, servers: [server] }: Stage): Promise<undefined> {
  const client = open(gateway, cell)
  await client.until(text => text.includes('Hello'))
  client.socket.pause()
  const call = await server?.called(1)
  // The server is held back when nothing more of it is taken for a while.
  for (let before = 0, looks = 0; looks < HELD_LOOKS; looks++) {
    await Bun.sleep(HELD_LOOK_MS)
    if (call?.written !== before) looks = 0
    before = call?.written ?? 0
  }
  clock.advance(STALLED_MS)
  await call?.closed
  client.socket.resume()
  await client.ended
  expect(client.text()).not.toContain('[DONE]')
}

async function sendHalf({ cell, gateway, clock }: Stage): Promise<undefined> {
  const client = open(gateway, cell, 9)
  await underWay(gateway)
  clock.advance(BODY_MS)
  expect(await client.until(text => text.includes('}}'))).toStartWith('HTTP/1.1 408 ')
  client.socket.destroy()
}

/** Sends a call, or so many characters of its body. */
function open({ port }: TestGateway, { path, body }: Cell, characters?: number): RawClient {
  const text = JSON.stringify({ model: 'chat', ...body })
  const lines = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${text.length}\r\n\r\n`
  return rawClient(port, lines + text.slice(0, characters))
}

/** Resolves when so many calls wait for a place. */
async function depth({ gateway }: TestGateway, count: number): Promise<void> {
  while (!(await gateway.metrics()).text.includes(`\ngateway_queue_depth ${count}\n`)) await settled()
}

/** Resolves when a request is under way. */
async function underWay({ gateway }: TestGateway): Promise<void> {
  while (!(await gateway.metrics()).text.includes('\nhttp_requests_in_flight 1\n')) await settled()
}
