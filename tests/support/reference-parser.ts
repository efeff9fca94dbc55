// How an answer is to be read, written down a second time: slow, over the whole text at once, with regular expressions.

/** What a connection's bytes say. */
export interface Reading {
  /** 0 when no whole head came. */
  readonly status: number
  /** Names in lower case; what came more than once is joined. */
  readonly headers: Readonly<Record<string, string>>
  readonly encoding: string | null
  /** As latin-1. */
  readonly body: string
  /** `more`: nothing is wrong so far. */
  readonly end: 'whole' | 'more' | 'broken'
  /** Whether another request may follow. */
  readonly persistent: boolean
}

export interface ReadingOptions {
  readonly method: string
  /** Whether the connection ends behind the bytes. */
  readonly closed: boolean
}

const TEXT = '[\\t\\x20-\\x7e\\x80-\\xff]'
const NAME = "[!#$%&'*+.^_`|~0-9A-Za-z-]"
const STATUS_LINE = new RegExp(`^HTTP/1\\.[01] [1-9]\\d\\d(?: ${TEXT}*)?\\r\\n$`)
const HEADER_LINE = new RegExp(`^${NAME}+:${TEXT}*\\r\\n$`)
const TRAILER_LINE = new RegExp(`^${NAME}${TEXT}*\\r\\n$`)
const SIZE_LINE = new RegExp(`^[0-9A-Fa-f]{1,11}([ \\t]*(?:;${TEXT}*)?)\\r\\n$`)
const EXTENSION_MAX = 4096
const HEAD_MAX = 65_536
const TRAILER_MAX = 65_536

class Broken extends Error {}
class More extends Error {}

interface Writable {
  status: number
  headers: Record<string, string>
  encoding: string | null
  body: string
  end: Reading['end']
  persistent: boolean
}

/** Reads all the bytes of a connection that carried one request. */
export function referenceReading(bytes: Uint8Array, options: ReadingOptions): Reading {
  const reading: Writable = { status: 0, headers: {}, encoding: null, body: '', end: 'more', persistent: false }
  const text = Buffer.from(bytes).toString('latin1')
  try {
    const { lines, at } = readHeads(text)
    readBody(text, at, lines, options, reading)
  } catch (thrown) {
    if (thrown instanceof Broken) reading.end = 'broken'
    else if (!(thrown instanceof More)) throw thrown
  }
  return reading
}

/** The lines of the first head that is no interim one, and the place behind it. */
function readHeads(text: string): { readonly lines: readonly string[]; readonly at: number } {
  for (let from = 0; ; ) {
    const lines: string[] = []
    let at = from
    for (;;) {
      const line = lineAt(text, at)
      if (line === '\r\n' && lines.length > 0) {
        at += 2
        break
      }
      checkHeadLine(line, lines, text, at)
      lines.push(line)
      at += line.length
      if (at > HEAD_MAX) throw new Broken('too large')
    }
    if (at > HEAD_MAX) throw new Broken('too large')
    const status = statusOf(lines)
    if (status === 101) throw new Broken('another protocol')
    if (status >= 200) return { lines, at }
    from = at
  }
}

/** A line with its end, or what there is of it. */
function lineAt(text: string, at: number): string {
  const end = text.indexOf('\n', at)
  return text.slice(at, end < 0 ? text.length : end + 1)
}

function checkHeadLine(line: string, before: readonly string[], text: string, at: number): void {
  const isStatus = before.length === 0
  const pattern = isStatus ? STATUS_LINE : HEADER_LINE
  // Of what is past the limit nothing is looked at.
  const seen = text.slice(at, Math.min(at + line.length, HEAD_MAX))
  if (seen.endsWith('\n')) {
    if (!pattern.test(seen)) throw new Broken('a line')
    checkMeaning(seen, before)
    return
  }
  const endings = isStatus ? ['HTTP/1.1 200 \r\n'.slice(seen.length), '\r\n', '\n'] : ['a:\r\n', ':\r\n', '\r\n', '\n']
  const isBlank = !isStatus && '\r\n'.startsWith(seen)
  if (!isBlank && !endings.some(ending => pattern.test(seen + ending))) throw new Broken('the beginning of a line')
  if (seen.endsWith('\r') && !isBlank) checkMeaning(`${seen}\n`, before)
  if (at + line.length >= HEAD_MAX) throw new Broken('too large')
  throw new More()
}

/** A header is judged with those before it. */
function checkMeaning(line: string, before: readonly string[]): void {
  if (before.length === 0) return
  if (before.length > 200) throw new Broken('too many headers')
  const [name, value] = headerOf(line)
  if (name === 'content-length') {
    if (!/^\d{1,15}$/.test(value)) throw new Broken('a length')
    const earlier = valuesOf(before, name)
    if (earlier.some(each => Number(each) !== Number(value))) throw new Broken('two lengths')
  }
  if (name === 'transfer-encoding') {
    if (value.toLowerCase() !== 'chunked' || valuesOf(before, name).length > 0) throw new Broken('a coding')
  }
}

function statusOf([line = '']: readonly string[]): number {
  return Number(line.slice(9, 12))
}

function headerOf(line: string): readonly [name: string, value: string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1, -2).replace(/^[\t ]+|[\t ]+$/g, '')]
}

function valuesOf([, ...lines]: readonly string[], wanted: string): readonly string[] {
  return lines.map(headerOf).flatMap(([name, value]) => (name === wanted ? [value] : []))
}

function readBody(
  text: string,
  from: number,
  lines: readonly string[],
  { method, closed }: ReadingOptions,
  reading: Writable,
): void {
  const status = statusOf(lines)
  const isOld = lines[0]?.startsWith('HTTP/1.0') === true
  const [length] = valuesOf(lines, 'content-length').map(Number)
  const isChunked = valuesOf(lines, 'transfer-encoding').length > 0
  if (isChunked && (isOld || length !== undefined)) throw new Broken('two lengths')
  reading.status = status
  for (const line of lines.slice(1)) {
    const [name, value] = headerOf(line)
    reading.headers[name] = Object.hasOwn(reading.headers, name) ? `${reading.headers[name]}, ${value}` : value
  }
  const said = valuesOf(lines, 'connection').flatMap(value => value.toLowerCase().split(','))
  const options = said.map(option => option.trim())
  const keeps = !options.includes('close') && (!isOld || options.includes('keep-alive'))
  const isEmpty = method === 'HEAD' || status === 204 || status === 304 || length === 0
  const encodings = valuesOf(lines, 'content-encoding').map(value => value.toLowerCase())
  const applied = encodings.filter(value => value !== '' && value !== 'identity')
  if (!isEmpty && applied.length > 0) reading.encoding = applied.join(', ')
  if (isEmpty) finish(reading, keeps, text, from)
  else if (isChunked) readChunks(text, from, keeps, reading)
  else if (length !== undefined) {
    reading.body = text.slice(from, from + length)
    if (reading.body.length === length) finish(reading, keeps, text, from + length)
  } else {
    reading.body = text.slice(from)
    if (closed) reading.end = 'whole'
  }
}

function finish(reading: Writable, keeps: boolean, text: string, at: number): void {
  reading.end = 'whole'
  reading.persistent = keeps && at === text.length
}

function readChunks(text: string, from: number, keeps: boolean, reading: Writable): void {
  for (let at = from; ; ) {
    const line = lineAt(text, at)
    checkExtension(line)
    mustMatch(SIZE_LINE, line, ['0\r\n', '\r\n', '\n'])
    at += line.length
    const size = Number.parseInt(line, 16)
    if (size === 0) {
      finish(reading, keeps, text, readTrailers(text, at))
      return
    }
    reading.body += text.slice(at, at + size)
    at += size
    const end = text.slice(at, at + 2)
    if (!'\r\n'.startsWith(end)) throw new Broken('behind a chunk')
    if (end.length < 2) throw new More()
    at += 2
  }
}

function checkExtension(line: string): void {
  const behind = /^[0-9A-Fa-f]+([^\r\n]*)/.exec(line)?.[1] ?? ''
  // The semicolon is free.
  const spent = behind.length - (behind.includes(';') ? 1 : 0)
  if (spent > EXTENSION_MAX) throw new Broken('an extension')
}

function readTrailers(text: string, from: number): number {
  let spent = 0
  for (let at = from; ; ) {
    const line = lineAt(text, at)
    if (line === '\r\n') return at + 2
    spent += line.replace(/[\r\n]/g, '').length
    if (spent > TRAILER_MAX) throw new Broken('trailers')
    if (line === '\r') throw new More()
    mustMatch(TRAILER_LINE, line, ['a\r\n', '\r\n', '\n'])
    at += line.length
  }
}

/** A line has to be one; the beginning of a line has to be that of one. */
function mustMatch(pattern: RegExp, line: string, endings: readonly string[]): void {
  if (pattern.test(line)) return
  if (!line.endsWith('\n') && endings.some(ending => pattern.test(line + ending))) throw new More()
  throw new Broken('a line')
}
