import { invalidAnswer } from '../upstream-error.ts'
import { CR, hexValue, LF, NAME_BYTES, SEMICOLON, SPACE, TAB, TEXT_BYTES } from './bytes.ts'

type State =
  | 'size'
  | 'blank'
  | 'extension'
  | 'size-end'
  | 'data'
  | 'data-cr'
  | 'data-lf'
  | 'line'
  | 'trailer'
  | 'line-end'
  | 'last-lf'
  | 'end'

/** Sixteen terabytes; past that no number is meant. */
const DIGITS_MAX = 11
const EXTENSION_BYTES_MAX = 4 * 1024
const TRAILER_BYTES_MAX = 64 * 1024

/** Takes the chunks of a body apart, as a byte state machine.
 *
 * What arrived in one read leaves in one piece: the data of its chunks is moved together where it lies. */
export class ChunkReader {
  /** Where the data of the last read lies in it. */
  dataAt = 0
  dataEnd = 0
  private state: State = 'size'
  private size = 0
  private digits = 0
  /** Bytes that what stands behind this size, or these trailers, have had. */
  private spent = 0

  reset(): void {
    this.state = 'size'
    this.size = 0
    this.digits = 0
    this.spent = 0
  }

  /** Takes a read from `from` on, and says where the data is by `dataAt` and `dataEnd`.
   *
   * @returns The position behind the body, or -1 when it goes on.
   * @throws GatewayError `upstream_invalid_response`. */
  push(bytes: Buffer, from: number): number {
    let at = from
    this.dataAt = from
    this.dataEnd = from
    while (at < bytes.length) {
      if (this.state === 'data') at = this.readData(bytes, at)
      else {
        this.readByte(bytes[at++] ?? 0)
        if (this.state === 'end') return at
      }
    }
    return -1
  }

  private readData(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.size)
    this.size -= end - at
    if (this.dataEnd === this.dataAt) {
      this.dataAt = at
      this.dataEnd = end
    } else {
      bytes.copyWithin(this.dataEnd, at, end)
      this.dataEnd += end - at
    }
    if (this.size === 0) this.state = 'data-cr'
    return end
  }

  private readByte(byte: number): void {
    switch (this.state) {
      case 'size':
        this.readSize(byte)
        return
      case 'blank':
        this.readBehindSize(byte)
        return
      case 'extension':
        if (byte === CR) this.state = 'size-end'
        else if (TEXT_BYTES[byte] === 0 || ++this.spent > EXTENSION_BYTES_MAX) throw invalidAnswer('a chunk extension')
        return
      case 'size-end':
        expectByte(byte, LF)
        this.spent = 0
        this.state = this.size === 0 ? 'line' : 'data'
        return
      case 'data-cr':
        expectByte(byte, CR)
        this.state = 'data-lf'
        return
      case 'data-lf':
        expectByte(byte, LF)
        this.reset()
        return
      default:
        this.readTrailer(byte)
    }
  }

  private readSize(byte: number): void {
    const value = hexValue(byte)
    if (value >= 0) {
      if (++this.digits > DIGITS_MAX) throw invalidAnswer('a chunk size')
      this.size = this.size * 16 + value
    } else if (this.digits === 0) throw invalidAnswer('a chunk size')
    else this.readBehindSize(byte)
  }

  /** Blanks may stand behind a size, but nothing else than an extension behind them. */
  private readBehindSize(byte: number): void {
    if (byte === CR) this.state = 'size-end'
    else if (byte === SEMICOLON) this.state = 'extension'
    else if ((byte === SPACE || byte === TAB) && ++this.spent <= EXTENSION_BYTES_MAX) this.state = 'blank'
    else throw invalidAnswer('a chunk size')
  }

  /** Trailers say nothing that anybody here asks for; they are read so that the connection can serve again. */
  private readTrailer(byte: number): void {
    if (this.state === 'last-lf') {
      expectByte(byte, LF)
      this.state = 'end'
    } else if (this.state === 'line-end') {
      expectByte(byte, LF)
      this.state = 'line'
    } else if (byte === CR) this.state = this.state === 'line' ? 'last-lf' : 'line-end'
    else {
      const allowed = this.state === 'line' ? NAME_BYTES[byte] : TEXT_BYTES[byte]
      if (allowed !== 1 || ++this.spent > TRAILER_BYTES_MAX) throw invalidAnswer('a trailer')
      this.state = 'trailer'
    }
  }
}

function expectByte(byte: number, expected: number): void {
  if (byte !== expected) throw invalidAnswer('a chunk that does not end')
}
