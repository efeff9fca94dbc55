import { ChunkReader } from './chunk-reader.ts'
import type { Ending } from './framing.ts'
import type { ResponseHead } from './head.ts'
import { HeadReader } from './head-reader.ts'

/** Receives the parts of an answer. */
export interface Sink {
  onHead(head: ResponseHead, encoding: string | null, length: number): void
  /** A piece of the body: `bytes` from `start` to `end`. */
  onBody(bytes: Buffer, start: number, end: number): void
  onEnd(): void
}

/** Reads the answers of one connection, one after the other. */
export class ResponseParser {
  private readonly headReader = new HeadReader()
  private readonly chunkReader = new ChunkReader()
  private ending: Ending = 'none'
  private inBody = false
  private left = 0
  private bodyless = false
  /** Whether bytes came that no request had asked for. */
  private surplus = false

  /** Makes ready for the answer to a request with this method. */
  begin(method: string): void {
    this.headReader.reset()
    this.inBody = false
    this.bodyless = method === 'HEAD'
  }

  /** Whether another request may follow the answer that has ended. */
  get persistent(): boolean {
    return !this.surplus && this.ending !== 'close' && this.headReader.framing.persistent
  }

  /** Whether the head of an answer has come. */
  get answering(): boolean {
    return this.inBody
  }

  /** What `Keep-Alive: timeout=` allows, in milliseconds. */
  get keepAliveMs(): number | null {
    return this.headReader.framing.keepAliveMs
  }

  /** Takes a read.
   *
   * @throws GatewayError `upstream_invalid_response`; no more may be pushed after that. */
  push(bytes: Buffer, sink: Sink): void {
    const at = this.inBody ? 0 : this.readHead(bytes, sink)
    if (at < 0) return
    const behind = this.readBody(bytes, at, sink)
    if (behind < 0) return
    this.surplus = behind < bytes.length
    sink.onEnd()
  }

  /** The connection has ended without an error.
   *
   * @returns Whether that is how the body ends. */
  finish(sink: Sink): boolean {
    if (!this.inBody || this.ending !== 'close') return false
    sink.onEnd()
    return true
  }

  private readHead(bytes: Buffer, sink: Sink): number {
    const at = this.headReader.push(bytes)
    const { head, framing } = this.headReader
    if (at < 0 || head === null) return -1
    this.inBody = true
    this.ending = framing.ending(head.status)
    if (this.bodyless) this.ending = 'none'
    if (this.ending === 'chunked') this.chunkReader.reset()
    this.left = framing.length
    sink.onHead(head, this.ending === 'none' ? null : framing.encoding, framing.length)
    return at
  }

  /** Answers with the position behind the body, or -1 when it goes on. */
  private readBody(bytes: Buffer, from: number, sink: Sink): number {
    if (this.ending === 'none') return from
    if (this.ending === 'chunked') return this.readChunks(bytes, from, sink)
    const limited = this.ending === 'length'
    const end = limited ? Math.min(bytes.length, from + this.left) : bytes.length
    this.left -= end - from
    if (end > from) sink.onBody(bytes, from, end)
    return limited && this.left === 0 ? end : -1
  }

  private readChunks(bytes: Buffer, from: number, sink: Sink): number {
    const { chunkReader } = this
    try {
      return chunkReader.push(bytes, from)
    } finally {
      // Also in front of what cannot be read: what is given out does not depend on where the reads begin.
      if (chunkReader.dataEnd > chunkReader.dataAt) sink.onBody(bytes, chunkReader.dataAt, chunkReader.dataEnd)
    }
  }
}
