import type { Bypass, Said } from '#core/bypass.ts'
import type { Clock } from '#core/clock.ts'
import type { DataFrame } from '#core/frame.ts'
import { writeSse } from '#lib/sse.ts'
import { partsAround, TextPattern } from '#lib/text-pattern.ts'
import type { Saying, StreamEvent } from '#providers/provider.ts'

/** Learning from an event takes one of these, and passing one on gives one back: a stream whose events are not alike is
 * soon no longer learned from. */
const CREDIT = 8

interface Likeness {
  readonly saying: Saying
  readonly pattern: TextPattern
  /** The text written around each event; `null` where events go on as the bytes that arrived. */
  readonly written: readonly Buffer[] | null
}

/** Recognises the events of one stream that differ from an event that was read in their text alone, and passes them on
 * as bytes: neither parsed nor written anew.
 *
 * Nothing is guessed: around its text such an event is the same byte for byte; any other is read. */
export class Likenesses {
  private readonly to: Bypass
  private readonly clock: Clock
  private likeness: Likeness | null = null
  private credit = CREDIT

  constructor(to: Bypass, clock: Clock) {
    this.to = to
    this.clock = clock
  }

  /** Learns from an event that was read: others like it may pass from now on. */
  learn(event: StreamEvent, frame: DataFrame, saying: Saying): void {
    if (this.credit-- <= 0) return
    const names = [saying.field, ...saying.idle]
    const read = partsAround(writeSse(event.data), names)
    const written = partsAround(frame.text, names)
    if (read === null || written === null || event.name !== '' || event.data.includes('\n')) return
    const at = read.findIndex(part => part.includes(`"${saying.field}":`))
    const isSame = read.every((part, index) => part === written[index])
    this.likeness = {
      saying,
      pattern: new TextPattern(read, at),
      written: isSame ? null : written.map(part => Buffer.from(part)),
    }
  }

  /** Forgets what was learned, because something arrived that changes how later events must be read. */
  forget(): void {
    this.likeness = null
  }

  /** Passes on the events at the start of these bytes that are like a known one.
   *
   * @returns The position behind them. */
  take(bytes: Buffer, start: number, end: number): number {
    const { likeness } = this
    if (likeness === null) return start
    const { saying, pattern, written } = likeness
    const pieces: Uint8Array[] | null = written === null ? null : []
    let at = start
    let text = ''
    let events = 0
    for (let next = pattern.match(bytes, at, end); next >= 0; next = pattern.match(bytes, at, end)) {
      text += pattern.text
      events++
      if (written !== null && pieces !== null) rewrite(bytes, pattern.places, written, pieces)
      at = next
      if (at === end) break
    }
    if (events === 0) return start
    const passed = pieces === null ? bytes.subarray(start, at) : Buffer.concat(pieces)
    const { choice, field } = saying
    const said: Said = { bytes: passed, events, choice, field, text, at: this.clock.now() }
    if (!this.to(said)) return start
    this.credit++
    return at
  }
}

function rewrite(bytes: Buffer, places: readonly number[], written: readonly Buffer[], pieces: Uint8Array[]): void {
  for (let index = 0; index < written.length; index++) {
    const part = written[index]
    if (part !== undefined) pieces.push(part)
    const [start, end] = [places[2 * index], places[2 * index + 1]]
    if (index < written.length - 1 && start !== undefined) pieces.push(bytes.subarray(start, end))
  }
}
