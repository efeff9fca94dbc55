import { FIELD_NAME, NOT_IN_FIELD } from '#lib/field.ts'
import type { Outgoing, Pieces } from '../provider.ts'
import { connectionFailed } from './errors.ts'
import type { Origin, Place } from './place.ts'

/** Bytes on their way out: `bytes` from `start` to `end`. */
export interface Message {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

type Kind = 'sent' | 'host' | 'agent' | 'dropped' | 'bad'

/** How a request is framed is said here alone, or two readers might disagree about where it ends. */
const FRAMING = new Set(['connection', 'content-length', 'expect', 'keep-alive', 'te', 'trailer', 'upgrade'])
FRAMING.add('transfer-encoding').add('proxy-connection')
const AGENT = 'user-agent: citadel-gateway\r\n'
const NAMES_MAX = 1000

/** The space for the head in front of the body, and the first and the largest size of the shared buffer: new memory
 * costs more than writing into it. */
const HEAD_ROOM = 8 * 1024
const SCRATCH_BYTES = 256 * 1024
const SCRATCH_BYTES_MAX = 4 * 1024 * 1024
const UTF8_MAX = 3

let scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
const kinds = new Map<string, Kind>()

/** Writes a request into one piece of memory, so that it leaves in one write.
 *
 * Small ones share a buffer that the next request overwrites: what the socket does not take at once is to be copied.
 *
 * @throws GatewayError `upstream_error` for a header that cannot be sent. */
export function encodeRequest(outgoing: Outgoing, place: Place): Message {
  const fields = fieldsOf(outgoing.headers, place.origin)
  const line = `${outgoing.method} ${place.target} HTTP/1.1\r\n`
  const { body } = outgoing
  if (body === null) {
    const head = `${line}${fields}\r\n`
    const bytes = roomFor(head.length) ?? Buffer.allocUnsafe(head.length)
    return { bytes, start: 0, end: bytes.write(head, 0, 'latin1') }
  }
  // The body is written first: that counts its bytes, which the head in front of it has to say.
  const bytes = roomFor(charactersOf(body) * UTF8_MAX + HEAD_ROOM) ?? Buffer.allocUnsafe(bytesOf(body) + HEAD_ROOM)
  let end = HEAD_ROOM
  for (const piece of body) end += bytes.write(piece, end, 'utf8')
  const length = end - HEAD_ROOM
  const head = `${line}${fields}content-length: ${length}\r\n\r\n`
  const start = HEAD_ROOM - head.length
  if (start < 0) throw connectionFailed('unusable', new Error('the request has too many headers'))
  bytes.write(head, start, 'latin1')
  return { bytes, start, end }
}

function charactersOf(body: Pieces): number {
  let characters = 0
  for (const piece of body) characters += piece.length
  return characters
}

function bytesOf(body: Pieces): number {
  return body.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0)
}

/** The shared buffer, grown where it has to be; `null` for what is too large for it. */
function roomFor(length: number): Buffer | null {
  if (length > SCRATCH_BYTES_MAX) return null
  if (length > scratch.length) scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES_MAX)
  return scratch
}

/** What was written of headers that cannot change. */
const written = new WeakMap<Outgoing['headers'], { readonly origin: Origin; readonly fields: string }>()

function fieldsOf(headers: Outgoing['headers'], origin: Origin): string {
  const known = written.get(headers)
  if (known !== undefined && known.origin === origin) return known.fields
  const fields = writeFields(headers, origin)
  if (Object.isFrozen(headers)) written.set(headers, { origin, fields })
  return fields
}

function writeFields(headers: Outgoing['headers'], origin: Origin): string {
  let fields = ''
  let host = `host: ${origin.host}\r\n`
  let agent = AGENT
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined) continue
    const kind = kindOf(name)
    if (kind === 'bad' || NOT_IN_FIELD.test(value)) throw connectionFailed('unusable', new Error(`the header ${name}`))
    if (kind === 'host') host = `host: ${value}\r\n`
    else if (kind === 'agent') agent = `user-agent: ${value}\r\n`
    else if (kind === 'sent') fields += `${name}: ${value}\r\n`
  }
  return host + agent + fields
}

/** Header names are few and come again with every request. */
function kindOf(name: string): Kind {
  const known = kinds.get(name)
  if (known !== undefined) return known
  const lower = name.toLowerCase()
  const own = lower === 'host' ? 'host' : lower === 'user-agent' ? 'agent' : 'sent'
  const kind = !FIELD_NAME.test(name) ? 'bad' : FRAMING.has(lower) ? 'dropped' : own
  if (kinds.size < NAMES_MAX) kinds.set(name, kind)
  return kind
}
