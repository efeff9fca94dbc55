import { gzipSync } from 'node:zlib'
import {
  bytes,
  chunk,
  cut,
  flatten,
  head,
  json,
  pause,
  reset,
  resplit,
  type Step,
  type Steps,
  sse,
} from '#tests/support/upstream.ts'
import { answerOf, type Cell } from './cells.ts'
import { CUT, type Fault, IDLE, type Scene, SILENCE, STORY } from './fault.ts'

/** The first content, which the caller has by now; then the break. */
const broken =
  (...items: readonly (Step | object | string)[]) =>
  ({ cell, seen }: Scene) =>
    sse([...begun(cell), seen, ...items])
const begun = ({ events }: Cell) => events.slice(0, 2)
const eventText = (items: readonly (object | string)[]) =>
  items.map(item => `data: ${typeof item === 'string' ? item : JSON.stringify(item)}\n\n`).join('')
const packed = (cell: Cell): Steps => {
  const body = gzipSync(cell.stream ? eventText(cell.events) : cell.whole)
  const type = cell.stream ? 'text/event-stream' : 'application/json'
  return [
    head(200, { 'content-type': type, 'content-encoding': 'gzip', 'content-length': `${body.length}` }),
    bytes(body),
  ]
}
/** The answer behind other bytes, or with other headers. */
const withHeaders = (cell: Cell, headers: Readonly<Record<string, string>>) =>
  cell.stream ? sse(cell.events, { headers }) : json(200, cell.whole, headers)

/** What breaks in the middle of a stream: another server repeats what was delivered, and goes on. */
export const DURING: readonly Fault[] = [
  {
    id: 'F8',
    name: 'falls silent in the middle of the answer',
    calls: 'stream',
    play: scene => broken(scene.stall)(scene),
    alone: IDLE,
    silence: SILENCE,
  },
  {
    id: 'F9',
    name: 'is not finished when the time of the call is over',
    calls: 'stream',
    play: scene => broken(scene.stall)(scene),
    alone: { event: 'deadline_exceeded' },
    final: true,
    silence: 4500,
    timeouts: { total: '4s' },
  },
  { id: 'F10', name: 'resets in the middle of the answer', calls: 'stream', play: broken(reset()), alone: CUT },
  {
    id: 'F10',
    name: 'hangs up within an event',
    calls: 'stream',
    play: broken(chunk('data: {"id":'), cut()),
    alone: CUT,
  },
  {
    id: 'F10',
    name: 'sends a broken chunk in the middle of the answer',
    calls: 'stream',
    play: broken(bytes('zz\r\n')),
    alone: CUT,
  },
  { id: 'F11', name: 'ends before the answer is finished', calls: 'stream', play: broken(), alone: CUT },
  {
    id: 'F11',
    name: 'ends before the answer is finished, with the connection',
    calls: 'stream',
    play: ({ cell, seen }) => sse([...begun(cell), seen], { chunked: false }),
    alone: CUT,
  },
  {
    id: 'F13',
    name: 'sends four or more events that cannot be read, in the middle of the answer',
    calls: 'stream',
    play: broken('{', 'x', '}', '{"a'),
    alone: CUT,
  },
  {
    id: 'F13',
    name: 'sends an event of 17 MB in the middle of the answer',
    calls: 'stream',
    play: broken('x'.repeat(17_000_000)),
    alone: CUT,
  },
  {
    id: 'F14',
    name: 'sends an error in the middle of the answer',
    calls: 'stream',
    play: broken({ error: { message: STORY, code: 500 } }),
    alone: CUT,
  },
]

const whole = { alone: 'the whole answer', final: true } as const

/** What looks like a fault, and is none: the answer is there. */
export const HARMLESS: readonly Fault[] = [
  {
    id: 'F9',
    name: 'sends its answer byte by byte',
    calls: 'both',
    play: ({ cell }) => resplit(answerOf(cell), 'every-byte'),
    ...whole,
  },
  {
    id: 'F9',
    name: 'drips',
    calls: 'both',
    play: ({ cell }) =>
      cell.stream
        ? sse(cell.events.flatMap(event => [event, pause(5)]))
        : flatten(answerOf(cell)).flatMap(step => [pause(5), step]),
    ...whole,
  },
  {
    id: 'F11',
    name: 'leaves out [DONE] after a finished answer',
    calls: 'stream',
    play: ({ cell }) => sse(cell.events.slice(0, -1)),
    ...whole,
  },
  {
    id: 'F11',
    name: 'sends nothing more after a finished answer, and does not hang up',
    calls: 'stream',
    play: ({ cell, stall }) => sse([...cell.events.slice(0, -1), stall]),
    silence: 1100,
    ...whole,
  },
  {
    id: 'F11',
    name: 'does not hang up after [DONE]',
    calls: 'stream',
    play: ({ cell, stall }) => sse([...cell.events, stall]),
    silence: 1100,
    ...whole,
  },
  {
    id: 'F13',
    name: 'sends comments, names, ids, byte order mark and lines that end in CR LF',
    calls: 'stream',
    play: ({ cell }) =>
      sse(
        `\uFEFF: hello\r\n\r\nretry: 5\r\n\r\n${eventText(cell.events).replaceAll('data:', 'id: 1\nevent: message\ndata:').replaceAll('\n', '\r\n')}`,
      ),
    ...whole,
  },
  {
    id: 'F13',
    name: 'sends up to three events that cannot be read',
    calls: 'stream',
    play: ({ cell }) => sse([...begun(cell), '{', 'x', '{"a', ...cell.events.slice(2)]),
    ...whole,
  },
  {
    id: 'F21',
    name: 'sends gzip, although it was not asked for',
    calls: 'both',
    play: ({ cell }) => packed(cell),
    ...whole,
  },
  {
    id: 'F23',
    name: 'sends cookies and headers of its own',
    calls: 'both',
    play: ({ cell }) => withHeaders(cell, { 'set-cookie': 'a=1', 'x-inside': '10.1.2.3', 'keep-alive': 'timeout=5' }),
    ...whole,
  },
  {
    id: 'F24',
    name: 'sends HTTP 103 before its answer',
    calls: 'both',
    play: ({ cell }) => [bytes('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'), answerOf(cell)],
    ...whole,
  },
  {
    id: 'F24',
    name: 'closes a kept connection just when it is used again',
    calls: 'both',
    play: ({ cell }) => {
      const used = new Set<number>()
      return ({ connection }) => {
        if (used.has(connection)) return cut()
        used.add(connection)
        return answerOf(cell)
      }
    },
    warm: true,
    ...whole,
  },
]
