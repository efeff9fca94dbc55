import { invalidAnswer } from '../upstream-error.ts'
import { isBlank, NINE, withoutBlanks, ZERO } from './bytes.ts'

/** How the end of a body is known. */
export type Ending = 'none' | 'length' | 'chunked' | 'close'

/** More digits than a safe integer has. */
const DIGITS_MAX = 15
const CONTENT_LENGTH = Buffer.from('content-length')
const TRANSFER_ENCODING = Buffer.from('transfer-encoding')
const CONTENT_ENCODING = Buffer.from('content-encoding')
const CONNECTION = Buffer.from('connection')
const KEEP_ALIVE = Buffer.from('keep-alive')

/** What the headers of one answer say about its body and its connection.
 *
 * Two readers that disagree about where an answer ends can be played against each other, so whatever could be read in
 * two ways is refused. */
export class Framing {
  /** HTTP/1.0: knows no chunks, and closes unless it says otherwise. */
  oldVersion = false
  /** Of the body; -1 when it is not said. */
  length = -1
  encoding: string | null = null
  /** What `Keep-Alive: timeout=` allows, in milliseconds; `null` when it is not said. */
  keepAliveMs: number | null = null
  private chunked = false
  private close = false
  private keep = false

  reset(): void {
    this.oldVersion = false
    this.length = -1
    this.encoding = null
    this.keepAliveMs = null
    this.chunked = false
    this.close = false
    this.keep = false
  }

  /** Takes a header: its name from `nameAt`, its value between `colonAt` and `end`. */
  see(bytes: Buffer, nameAt: number, colonAt: number, end: number): void {
    switch (colonAt - nameAt) {
      case CONTENT_LENGTH.length:
        if (isName(bytes, nameAt, CONTENT_LENGTH)) this.seeLength(bytes, colonAt + 1, end)
        break
      case TRANSFER_ENCODING.length:
        if (!isName(bytes, nameAt, TRANSFER_ENCODING)) break
        if (this.chunked || lowerValue(bytes, colonAt, end) !== 'chunked') throw invalidAnswer('a transfer-encoding')
        this.chunked = true
        break
      case CONTENT_ENCODING.length:
        if (isName(bytes, nameAt, CONTENT_ENCODING)) this.seeEncoding(lowerValue(bytes, colonAt, end))
        break
      case CONNECTION.length:
        if (isName(bytes, nameAt, CONNECTION)) this.seeConnection(lowerValue(bytes, colonAt, end))
        else if (isName(bytes, nameAt, KEEP_ALIVE)) this.seeKeepAlive(lowerValue(bytes, colonAt, end))
        break
    }
  }

  /** Says how the body ends.
   *
   * @throws GatewayError `upstream_invalid_response` when there are two answers to that. */
  ending(status: number): Ending {
    if (this.chunked && (this.length >= 0 || this.oldVersion)) throw invalidAnswer('two lengths')
    if (status === 204 || status === 304 || this.length === 0) return 'none'
    if (this.chunked) return 'chunked'
    return this.length > 0 ? 'length' : 'close'
  }

  /** Whether the connection may serve again. */
  get persistent(): boolean {
    return !this.close && (!this.oldVersion || this.keep)
  }

  private seeLength(bytes: Buffer, from: number, to: number): void {
    let at = from
    let end = to
    while (at < end && isBlank(bytes[at])) at++
    while (end > at && isBlank(bytes[end - 1])) end--
    if (at === end || end - at > DIGITS_MAX) throw invalidAnswer('a content-length')
    let length = 0
    for (; at < end; at++) {
      const byte = bytes[at] ?? 0
      if (byte < ZERO || byte > NINE) throw invalidAnswer('a content-length')
      length = length * 10 + byte - ZERO
    }
    if (this.length >= 0 && this.length !== length) throw invalidAnswer('two lengths')
    this.length = length
  }

  private seeEncoding(value: string): void {
    if (value === '' || value === 'identity') return
    this.encoding = this.encoding === null ? value : `${this.encoding}, ${value}`
  }

  private seeConnection(value: string): void {
    for (const option of value.split(',')) {
      const word = option.trim()
      if (word === 'close') this.close = true
      else if (word === 'keep-alive') this.keep = true
    }
  }

  private seeKeepAlive(value: string): void {
    const seconds = /(?:^|[,\s])timeout\s*=\s*"?(\d{1,9})/.exec(value)?.[1]
    if (seconds !== undefined) this.keepAliveMs = Number(seconds) * 1000
  }
}

function isName(bytes: Buffer, at: number, name: Uint8Array): boolean {
  // A byte of a name is a letter of either case or a hyphen, which the bit of the lower case leaves as it is.
  for (let index = 0; index < name.length; index++) if (((bytes[at + index] ?? 0) | 0x20) !== name[index]) return false
  return true
}

function lowerValue(bytes: Buffer, colonAt: number, end: number): string {
  return withoutBlanks(bytes.toString('latin1', colonAt + 1, end)).toLowerCase()
}
