import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Scope } from '#core/scope.ts'
import { createTurnEnd } from '#lib/turn.ts'
import type { Outgoing } from '../provider.ts'
import type { Clocks, Incoming, Taker } from '../transport.ts'
import { invalidAnswer } from '../upstream-error.ts'
import { collect, textOf, type Watch } from './collect.ts'
import type { Connection, User } from './connection.ts'
import { Decoded, decoderFor } from './decode.ts'
import { connectionFailed, connectTimeout, silentServer } from './errors.ts'
import type { ResponseHead } from './head.ts'
import type { Place } from './place.ts'
import type { Pool } from './pool.ts'
import { encodeRequest } from './request.ts'

/** Bytes of the body that are held while nobody reads: above the first the socket is paused, below the second it is
 * resumed. What one read of the socket brings, up to half a megabyte, comes on top; in one turn a quick server may bring
 * ten of them. */
const HIGH_BYTES = 256 * 1024
const LOW_BYTES = 64 * 1024
/** What each held piece costs in memory beside its bytes. */
const PIECE_BYTES = 256

const END: Promise<null> = Promise.resolve(null)

/** A part of what a socket gave. Only who reads it by bytes gets a view of it: the first view of such bytes costs as much as
 * decoding a short answer. */
interface Piece {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

/** What one request is, and what it goes through. */
export interface Work {
  readonly outgoing: Outgoing
  readonly place: Place
  readonly pool: Pool
  readonly scope: Scope
  readonly clock: Clock
  readonly clocks: Clocks
}

/** One request and its answer: takes a connection, writes the request, and gives the body out as it is read. Its clocks are
 * connect, then first byte; the idle clock is the reader's. */
export class Exchange implements User, Incoming {
  private readonly work: Work
  private readonly resolve: (incoming: Incoming) => void
  private readonly reject: (error: GatewayError) => void
  private connection: Connection | null = null
  /** The connection to which the request is written at the end of the turn. */
  private ready: Connection | null = null
  /** Whether a new connection was opened for it; a kept one is replaced once only. */
  private hasOpened = false
  private disarm: (() => void) | null = null
  private stopListening: (() => void) | null = null
  private responseHead: ResponseHead | null = null
  /** As the head says; -1 where it does not, or the body is compressed. */
  private contentLength = -1
  private readonly pieces: Piece[] = []
  private heldBytes = 0
  private ended = false
  private failure: GatewayError | null = null
  private taker: Taker | null = null
  private waiting: PromiseWithResolvers<Uint8Array | null> | null = null

  constructor(work: Work, resolve: (incoming: Incoming) => void, reject: (error: GatewayError) => void) {
    this.work = work
    this.resolve = resolve
    this.reject = reject
  }

  get head(): ResponseHead {
    if (this.responseHead === null) throw new Error('an answer is given out with its head')
    return this.responseHead
  }

  begin(): void {
    const { outgoing, pool, scope } = this.work
    this.stopListening = scope.onEnd(cause => this.fail(cause))
    // When a kept connection dies nobody knows whether the request arrived, so what must not be sent twice takes a new one.
    const idle = outgoing.once ? null : pool.take(this)
    if (idle === null) this.open()
    else this.onReady(idle)
  }

  read(): Promise<Uint8Array | null> {
    const piece = this.pieces.shift()
    if (piece !== undefined) {
      const { bytes, start, end } = piece
      this.heldBytes -= end - start + PIECE_BYTES
      if (this.heldBytes < LOW_BYTES) this.connection?.resume()
      return Promise.resolve(bytes.subarray(start, end))
    }
    if (this.failure !== null) return Promise.reject(this.failure)
    if (this.ended) return END
    this.waiting = Promise.withResolvers()
    return this.waiting.promise
  }

  text(bytesMax: number): Promise<string> {
    if (this.contentLength > bytesMax) {
      this.close()
      return Promise.reject(invalidAnswer(`body over ${bytesMax} bytes`))
    }
    // Usually the whole body has come with the head, in one read.
    if (this.ended && this.failure === null && this.pieces.length < 2) {
      const piece = this.pieces.pop()
      return Promise.resolve(piece === undefined ? '' : textOf(piece.bytes, piece.start, piece.end))
    }
    return collect(this, this.watch(bytesMax))
  }

  divert(taker: Taker | null): void {
    this.taker = taker
  }

  private watch(bytesMax: number): Watch {
    const { clock, clocks } = this.work
    return { bytesMax, clock, idleMs: clocks.idle, fail: error => this.fail(error) }
  }

  close(): void {
    if (this.failure === null && !this.ended) this.fail(connectionFailed('closed'))
    this.pieces.length = 0
    this.failure = null
    this.ended = true
  }

  onReady(connection: Connection): void {
    this.connection = connection
    this.ready = connection
    sendAtTurnEnd(this)
  }

  /** Writes the request, unless it has ended meanwhile. */
  send(): void {
    const { connection, ready } = this
    this.ready = null
    // It may have died since `onReady`, and been replaced by one that is not ready yet.
    if (connection === null || connection !== ready) return
    const { outgoing, place } = this.work
    try {
      connection.send(outgoing.method, encodeRequest(outgoing, place))
    } catch (thrown) {
      this.fail(thrown instanceof GatewayError ? thrown : connectionFailed('unusable', thrown))
    }
    // A connection that turned out to be dead has been replaced by now, or the request has failed.
    if (this.connection === connection) this.onWritten()
  }

  onWritten(): void {
    if (this.responseHead === null) this.arm(this.work.clocks.first_byte, silentServer)
  }

  onHead(head: ResponseHead, encoding: string | null, length: number): void {
    const decoder = encoding === null ? null : decoderFor(encoding)
    this.disarm?.()
    this.disarm = null
    this.responseHead = head
    if (decoder === null) {
      this.contentLength = length
      this.resolve(this)
    } else this.resolve(new Decoded(this, decoder, bytesMax => this.watch(bytesMax)))
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    let from = start
    if (this.waiting !== null && this.taker !== null) {
      from = this.taker(bytes, start, end)
      if (from === end) return
    }
    const { waiting } = this
    if (waiting !== null) {
      this.waiting = null
      waiting.resolve(bytes.subarray(from, end))
      return
    }
    this.pieces.push({ bytes, start: from, end })
    this.heldBytes += end - from + PIECE_BYTES
    if (this.heldBytes > HIGH_BYTES) this.connection?.pause()
  }

  onEnd(): void {
    this.ended = true
    this.stopListening?.()
    const { connection, waiting } = this
    this.connection = null
    this.waiting = null
    connection?.release()
    waiting?.resolve(null)
  }

  onLost(error: GatewayError): void {
    const { connection } = this
    const stale = connection?.reused === true && !connection.heard && !this.hasOpened && !this.work.pool.closed
    this.connection = null
    // A kept connection that dies before the first byte of the answer was closed by the server while the request was on its
    // way: the request goes over a new one.
    if (stale) this.open()
    else this.fail(error, true)
  }

  private open(): void {
    this.hasOpened = true
    this.arm(this.work.clocks.connect, connectTimeout)
    this.connection = this.work.pool.open(this)
  }

  private arm(ms: number, error: () => GatewayError): void {
    this.disarm?.()
    this.disarm = this.work.clock.after(ms, () => this.fail(error()))
  }

  /** Ends the request at once; only the first cause counts.
   *
   * @param keep Whether what has come is still given out: where the server broke off it is, where we stop it is not. */
  private fail(error: GatewayError, keep = false): void {
    if (this.failure !== null || this.ended) return
    this.failure = error
    this.disarm?.()
    this.stopListening?.()
    const { connection, waiting } = this
    this.connection = null
    this.waiting = null
    if (!keep) this.pieces.length = 0
    connection?.close()
    if (this.responseHead === null) this.reject(error)
    else waiting?.reject(error)
  }
}

const sendAtTurnEnd = createTurnEnd<Exchange>(exchanges => {
  for (const exchange of exchanges) exchange.send()
})
