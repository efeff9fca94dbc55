import { invalidAnswer } from '../upstream-error.ts'
import { COLON, CR, LF, NAME_BYTES, NINE, SPACE, TEXT_BYTES, ZERO } from './bytes.ts'
import { Framing } from './framing.ts'
import { ResponseHead } from './head.ts'

const HEAD_BYTES_MAX = 64 * 1024
const HEADERS_MAX = 200
const PREFIX = Buffer.from('HTTP/1.')
const MINOR = PREFIX.length
const STATUS_AT = MINOR + 2
const STATUS_END = STATUS_AT + 3

type State = 'status' | 'reason' | 'line' | 'name' | 'value' | 'line-end' | 'head-end'

/** Reads the head of an answer as a byte state machine; interim answers (100, 103) are read and forgotten.
 *
 * A head that lies in one read is never copied. Every rule is judged at the byte that breaks it, so that the result
 * does not depend on where the reads begin. */
export class HeadReader {
  /** What the headers say about the body; whole once `push` has found the end. */
  readonly framing = new Framing()
  head: ResponseHead | null = null
  private state: State = 'status'
  private held: Buffer | null = null
  private heldLength = 0
  private at = 0
  private lineAt = 0
  private headersAt = 0
  private colonAt = 0
  private count = 0
  private status = 0

  /** Takes a read.
   *
   * @returns The position in `chunk` behind the head, or -1 when the head goes on.
   * @throws GatewayError `upstream_invalid_response`. */
  push(chunk: Buffer): number {
    const before = this.heldLength
    const bytes = this.held === null ? chunk : this.hold(chunk)
    const length = this.held === null ? chunk.length : this.heldLength
    // What is past the limit is not looked at: the head must end before it.
    const end = Math.min(length, HEAD_BYTES_MAX)
    if (this.scan(bytes, end)) {
      const behind = this.at - before
      this.held = null
      this.heldLength = 0
      return behind
    }
    if (end === HEAD_BYTES_MAX) throw invalidAnswer('a head that is too large')
    if (this.held === null) this.hold(chunk)
    return -1
  }

  /** Makes ready for the next answer. */
  reset(): void {
    this.head = null
    this.begin(0)
  }

  private begin(at: number): void {
    this.framing.reset()
    this.state = 'status'
    this.at = at
    this.lineAt = at
    this.count = 0
    this.status = 0
  }

  private hold(chunk: Buffer): Buffer {
    const room = Math.min(chunk.length, HEAD_BYTES_MAX - this.heldLength)
    const length = this.heldLength + room
    if (this.held === null || this.held.length < length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(HEAD_BYTES_MAX, Math.max(1024, length * 2)))
      this.held?.copy(grown, 0, 0, this.heldLength)
      this.held = grown
    }
    chunk.copy(this.held, this.heldLength, 0, room)
    this.heldLength = length
    return this.held
  }

  /** Goes on from where it stopped; true at the end of a head that is no interim one. */
  private scan(bytes: Buffer, end: number): boolean {
    let at = this.at
    while (at < end) {
      switch (this.state) {
        case 'status':
          at = this.readStatus(bytes, at, end)
          break
        case 'line':
          this.lineAt = at
          if (bytes[at] !== CR) this.state = 'name'
          else {
            this.state = 'head-end'
            at++
          }
          break
        case 'name':
          while (at < end && NAME_BYTES[bytes[at] ?? 0] === 1) at++
          if (at === end) break
          if (bytes[at] !== COLON || at === this.lineAt) throw invalidAnswer('a header name that is none')
          this.colonAt = at++
          this.state = 'value'
          break
        case 'reason':
        case 'value':
          while (at < end && TEXT_BYTES[bytes[at] ?? 0] === 1) at++
          if (at === end) break
          if (bytes[at] !== CR) throw invalidAnswer('a control character in the head')
          if (this.state === 'value') this.endHeader(bytes, at)
          this.state = 'line-end'
          at++
          break
        default:
          if (bytes[at++] !== LF) throw invalidAnswer('a line end that is none')
          if (this.state === 'line-end') this.endLine(at)
          else if (this.endHead(bytes, at)) return true
      }
    }
    this.at = at
    return false
  }

  private readStatus(bytes: Buffer, from: number, end: number): number {
    let at = from
    for (; at < end; at++) {
      const place = at - this.lineAt
      const byte = bytes[at] ?? 0
      if (place < MINOR) {
        if (byte !== PREFIX[place]) throw invalidAnswer('no HTTP/1 answer')
      } else if (place === MINOR) {
        if (byte !== ZERO && byte !== ZERO + 1) throw invalidAnswer('an unknown version of HTTP')
        this.framing.oldVersion = byte === ZERO
      } else if (place < STATUS_AT) {
        if (byte !== SPACE) throw invalidAnswer('no status')
      } else if (place < STATUS_END) {
        // None is below 100.
        if (byte < (place === STATUS_AT ? ZERO + 1 : ZERO) || byte > NINE) throw invalidAnswer('no status')
        this.status = this.status * 10 + byte - ZERO
      } else {
        if (byte !== SPACE && byte !== CR) throw invalidAnswer('no status')
        this.state = 'reason'
        return at
      }
    }
    return at
  }

  private endLine(at: number): void {
    if (this.count === 0) this.headersAt = at
    this.state = 'line'
  }

  private endHeader(bytes: Buffer, end: number): void {
    if (++this.count > HEADERS_MAX) throw invalidAnswer('too many headers')
    this.framing.see(bytes, this.lineAt, this.colonAt, end)
  }

  private endHead(bytes: Buffer, at: number): boolean {
    if (this.status === 101) throw invalidAnswer('another protocol')
    if (this.status >= 200) {
      this.head = new ResponseHead(this.status, bytes.toString('latin1', this.headersAt, this.lineAt))
      this.at = at
      return true
    }
    this.begin(at)
    return false
  }
}
