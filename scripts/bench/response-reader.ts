/** What a reader reports. */
export interface ResponseEvents {
  /** So many newlines of a body came in: an event of a stream has two, wherever its bytes are cut. */
  onBody(newlines: number): void
  onResponse(status: number): void
}

interface Position {
  at: number
  state: 'head' | 'body' | 'size' | 'chunk' | 'after-chunk' | 'after-last'
  left: number
  status: number
}

const newline = 10
const emptyLine = Buffer.from('\r\n\r\n')
const lineEnd = Buffer.from('\r\n')

/** Creates a reader of one connection's responses that knows lengths and chunks, and nothing else of HTTP. */
export function createResponseReader(events: ResponseEvents): (data: Buffer) => void {
  const position: Position = { at: 0, state: 'head', left: 0, status: 0 }
  let rest: Buffer | null = null

  return data => {
    const all = rest ? Buffer.concat([rest, data]) : data
    rest = null
    position.at = 0
    while (position.at < all.length) {
      if (!advance(position, all, events)) {
        rest = Buffer.from(all.subarray(position.at))
        return
      }
    }
  }
}

/** Takes one part of the bytes; false when the part is not whole yet. */
function advance(position: Position, data: Buffer, events: ResponseEvents): boolean {
  switch (position.state) {
    case 'head':
      return readHead(position, data, events)
    case 'size':
      return readSize(position, data)
    case 'body':
      countBody(position, data, events)
      if (position.left === 0) finish(position, events)
      return true
    case 'chunk':
      countBody(position, data, events)
      if (position.left === 0) expect(position, 'after-chunk', 2)
      return true
    case 'after-chunk':
      if (skip(position, data)) expect(position, 'size', 0)
      return true
    case 'after-last':
      if (skip(position, data)) finish(position, events)
      return true
  }
}

function readHead(position: Position, data: Buffer, events: ResponseEvents): boolean {
  const end = data.indexOf(emptyLine, position.at)
  if (end < 0) return false
  const head = data.toString('latin1', position.at, end)
  position.at = end + 4
  position.status = Number(head.slice(9, 12))
  const length = /\ncontent-length: *(\d+)/i.exec(head)?.[1]
  if (length === undefined) expect(position, 'size', 0)
  else expect(position, 'body', Number(length))
  if (length === '0') finish(position, events)
  return true
}

function readSize(position: Position, data: Buffer): boolean {
  const end = data.indexOf(lineEnd, position.at)
  if (end < 0) return false
  const size = Number.parseInt(data.toString('latin1', position.at, end), 16)
  position.at = end + 2
  if (size === 0) expect(position, 'after-last', 2)
  else expect(position, 'chunk', size)
  return true
}

function countBody(position: Position, data: Buffer, events: ResponseEvents): void {
  const end = Math.min(data.length, position.at + position.left)
  let newlines = 0
  for (let at = position.at; at < end; at++) if (data[at] === newline) newlines++
  position.left -= end - position.at
  position.at = end
  if (newlines > 0) events.onBody(newlines)
}

function skip(position: Position, data: Buffer): boolean {
  const taken = Math.min(position.left, data.length - position.at)
  position.at += taken
  position.left -= taken
  return position.left === 0
}

function expect(position: Position, state: Position['state'], left: number): void {
  position.state = state
  position.left = left
}

function finish(position: Position, events: ResponseEvents): void {
  expect(position, 'head', 0)
  events.onResponse(position.status)
}
