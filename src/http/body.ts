import type { Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { disableIdleTimeout } from './active.ts'
import type { Exchange } from './exchange.ts'

const DECODERS: Readonly<Record<string, () => Duplex>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
}

/** More than any client makes of the largest body. The runtime makes an object of each, however small it is. */
const PIECES_MAX = 100_000
/** From this size on, in bytes, and for each as many of a body whose size is not told, it is asked whether there is room. */
const LARGE = 65_536
/** How often it is asked whether a body that takes its time may still come, in milliseconds. */
const LOOK_MS = 1000

/** Says whether there is memory for bodies. */
export interface Room {
  /** Why so many bytes are not taken in; `null` when they are, which then count as taken. */
  admit(bytes: number): GatewayError | null
  /** Why no more of any body is to be held; `null` while they may come. */
  refusal(): GatewayError | null
}

const UNBOUNDED: Room = { admit: () => null, refusal: () => null }

/** Reads the body of a request once, as text, within the size and time that the edge allows.
 *
 * @param believes Whether there has to be room at once for as much as the request says that it has. Room is kept only for
 * what has come of a body from anybody: a few bytes a second would keep it from all others.
 * @throws GatewayError `request_too_large` (the same for a declared, chunked or compressed body), `invalid_request` for
 * one in too many pieces, `request_timeout`, `unsupported_media_type` for an unknown encoding. */
export function readBody(exchange: Exchange, clock: Clock, room = UNBOUNDED, believes = true): Promise<string> {
  const { request, edge, scope, text } = exchange
  if (text !== null) return Promise.resolve(text)
  const encoding = request.headers.get('content-encoding')
  const declared = believes ? request.headers.get('content-length') : null
  const bytes = Number(declared)
  const noRoom = bytes >= LARGE ? room.admit(bytes) : null
  if (noRoom !== null) return Promise.reject(noRoom)
  // A plain body of known size needs no counting: the runtime reads exactly that many bytes.
  const reading = encoding === null && declared !== null ? request.text() : count(exchange, encoding, bytes, room)
  // The server takes a connection for idle whose body takes longer, also while it comes.
  if (edge.keepAliveSeconds * 1000 < edge.bodyTimeoutMs) disableIdleTimeout(exchange)
  return new Promise((resolve, reject) => {
    const endsAt = clock.now() + edge.bodyTimeoutMs
    let disarm = clock.after(Math.min(LOOK_MS, edge.bodyTimeoutMs), look)
    function look(): void {
      const left = endsAt - clock.now()
      const refused = left > 0 ? room.refusal() : late()
      if (refused === null) disarm = clock.after(Math.min(LOOK_MS, left), look)
      else reject(refused)
    }
    // A gateway that ends does not wait for what may never come.
    const forgetScope = scope.onEnd(reject)
    const over = () => {
      disarm()
      forgetScope()
    }
    reading.then(
      text => {
        over()
        resolve(text)
      },
      thrown => {
        over()
        reject(thrown instanceof GatewayError ? thrown : brokenOff(thrown))
      },
    )
  })
}

function late(): GatewayError {
  return new GatewayError('request_timeout', 'The request body did not arrive in time.', {
    headers: { connection: 'close' },
  })
}

/** A body that ends before its end: nobody is there any more to read the answer. */
function brokenOff(cause: unknown): GatewayError {
  return new GatewayError('client_closed_request', 'The client closed the request.', { cause })
}

/** The error for a body over the limit, however it came. The connection stays open: who still sends would otherwise find
 * it cut before he has read this. The runtime throws away the rest, for as long as a connection may be idle. */
export function tooLarge(bytesMax: number): GatewayError {
  return new GatewayError('request_too_large', `The request body is larger than ${bytesMax} bytes.`)
}

function tooManyPieces(): GatewayError {
  return new GatewayError('invalid_request', `The request body came in more than ${PIECES_MAX} pieces.`, {
    headers: { connection: 'close' },
  })
}

/** @param announced So many bytes were announced, and admitted if they are many. */
async function count(exchange: Exchange, encoding: string | null, announced: number, room: Room): Promise<string> {
  const { request, edge } = exchange
  if (request.body === null) return ''
  const decoder = new TextDecoder()
  let total = 0
  let taken = announced
  let text = ''
  for await (const bytes of decoded(bounded(request.body, edge.bodyBytesMax), encoding)) {
    total += bytes.byteLength
    if (total > edge.bodyBytesMax) throw tooLarge(edge.bodyBytesMax)
    if (total - taken >= LARGE) {
      const noRoom = room.admit(total - taken)
      if (noRoom !== null) throw noRoom
      taken = total
    }
    text += decoder.decode(bytes, { stream: true })
  }
  return text + decoder.decode()
}

/** The body as it comes. Compressed, it may be endless and yet become nothing. */
async function* bounded(body: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<Uint8Array> {
  let pieces = 0
  let total = 0
  for await (const bytes of body) {
    total += bytes.byteLength
    if (total > bytesMax) throw tooLarge(bytesMax)
    if (++pieces > PIECES_MAX) throw tooManyPieces()
    yield bytes
  }
}

async function* decoded(body: AsyncIterable<Uint8Array>, encoding: string | null): AsyncIterable<Uint8Array> {
  if (encoding === null || encoding === 'identity') {
    yield* body
    return
  }
  const name = encoding.toLowerCase()
  const create = Object.hasOwn(DECODERS, name) ? DECODERS[name] : undefined
  if (create === undefined) {
    throw new GatewayError(
      'unsupported_media_type',
      'The content-encoding of the body is not supported; use gzip, deflate, br or none.',
    )
  }
  const decoder = create()
  const feed = async () => {
    for await (const bytes of body)
      if (!decoder.write(bytes)) await new Promise(resolve => decoder.once('drain', resolve))
    decoder.end()
  }
  let cut: unknown = null
  const feeding = feed().catch(thrown => {
    cut = thrown
    decoder.destroy(thrown)
  })
  try {
    yield* decoder
    await feeding
  } catch (thrown) {
    if (thrown === cut) throw thrown
    throw new GatewayError('invalid_request', 'The compressed body could not be read.', { cause: thrown })
  }
}
