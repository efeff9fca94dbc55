import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Writer, Writing } from '#core/writing.ts'
import type { Exchange } from './exchange.ts'
import { createRecurringHeaders } from './recurring-headers.ts'

/** What is shorter, in characters or bytes, is not worth it. */
const COMPRESS_MIN = 1024
const compress = promisify(gzip)
/** Streams have other headers than whole answers. */
const headersOfWhole = createRecurringHeaders()
const headersOfStream = createRecurringHeaders()

/** Answers with JSON; `body` is a value, or text that is JSON already. */
export function json(exchange: Exchange, body: unknown, status = 200): Response | Promise<Response> {
  return text(exchange, typeof body === 'string' ? body : JSON.stringify(body), 'application/json', status)
}

/** Answers with JSON that no cache may keep. */
export function privateJson(exchange: Exchange, body: unknown, status = 200): Response | Promise<Response> {
  exchange.headers['cache-control'] = 'no-store'
  return json(exchange, body, status)
}

/** Answers with text of any type, compressed when it is worth it and the client accepts that. */
export function text(exchange: Exchange, body: string, type: string, status = 200): Response | Promise<Response> {
  exchange.headers['content-type'] = type
  return compressible(exchange, body, status)
}

function compressible(exchange: Exchange, body: string | Uint8Array, status: number): Response | Promise<Response> {
  if (body.length > COMPRESS_MIN) {
    if (acceptsGzip(exchange.request)) return compressed(exchange, body, status)
    // Answers to anything else are not kept by shared caches.
    if (READING.has(exchange.record.method)) varyBy(exchange, 'Accept-Encoding')
  }
  return whole(exchange, body, status)
}

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD'])

/** HEAD gets no body, and is told how long the one of GET is. */
function whole({ headers, record }: Exchange, body: string | Uint8Array, status: number): Response {
  if (record.method !== 'HEAD') {
    return new Response(body as string | Uint8Array<ArrayBuffer>, { status, headers: headersOfWhole(headers) })
  }
  headers['content-length'] = String(Buffer.byteLength(body))
  return new Response(null, { status, headers })
}

/** Answers with a file, compressed like text when its type is text. */
export function file(
  exchange: Exchange,
  found: { readonly headers: Readonly<Record<string, string>>; readonly body: string | Uint8Array },
  status = 200,
): Response | Promise<Response> {
  const { headers } = exchange
  Object.assign(headers, found.headers)
  const isText = /^(?:text\/|application\/(?:json|javascript)|image\/svg)/.test(headers['content-type'] ?? '')
  return isText ? compressible(exchange, found.body, status) : whole(exchange, found.body, status)
}

/** Answers with server-sent events: never compressed, never cached, never held back by a proxy. */
export function eventStream(exchange: Exchange, body: Writing | ReadableStream<Uint8Array> | string): Response {
  const { headers } = exchange
  headers['content-type'] = 'text/event-stream; charset=utf-8'
  headers['cache-control'] = 'no-cache, no-transform'
  headers['x-accel-buffering'] = 'no'
  const isWriting = typeof body === 'object' && 'write' in body
  return new Response(isWriting ? toStream(body) : body, { status: 200, headers: headersOfStream(headers) })
}

/** The runtime's own kind of stream, unknown to the standard and its types: what is written to it has no queue to pass. */
const DirectStream = ReadableStream as unknown as new (source: {
  readonly type: 'direct'
  readonly pull: (writer: Writer) => Promise<void>
  readonly cancel: () => void
}) => ReadableStream<Uint8Array>

function toStream(body: Writing): ReadableStream<Uint8Array> {
  return new DirectStream({ type: 'direct', pull: to => body.write(to), cancel: () => body.cancel() })
}

/** Tells caches that the answer depends on a request header too. */
export function varyBy({ headers }: Exchange, name: string): void {
  headers.vary = headers.vary === undefined ? name : `${headers.vary}, ${name}`
}

function acceptsGzip(request: Request): boolean {
  const accepted = request.headers.get('accept-encoding')
  return accepted !== null && /(?:^|,)\s*gzip\s*(?=[;,]|$)(?!;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(accepted)
}

async function compressed(exchange: Exchange, body: string | Uint8Array, status: number): Promise<Response> {
  const { headers } = exchange
  headers['content-encoding'] = 'gzip'
  varyBy(exchange, 'Accept-Encoding')
  return whole(exchange, await compress(body), status)
}
