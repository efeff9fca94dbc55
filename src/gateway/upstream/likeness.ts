import type { Bypass, Said } from '#core/bypass.ts'
import type { Clock } from '#core/clock.ts'
import type { DataFrame } from '#core/frame.ts'
import { writeSse } from '#lib/sse.ts'
import { type Chars, partsAround, TextPattern } from '#lib/text-pattern.ts'
import type { Saying, StreamEvent } from '#providers/provider.ts'

/** Learning from an event takes one of these, and passing one on gives one back: a stream whose events are not alike is
 * soon no longer learned from. */
const CREDIT = 8

interface Likeness {
  readonly saying: Saying
  readonly pattern: TextPattern
  /** The text written around each event's own; `null` where events go on as they arrived. */
  readonly around: readonly string[] | null
}

/** Recognises the events of one stream that differ from an event that was read in their text alone, and passes them on
 * as they are: neither parsed nor written anew.
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
      around: isSame ? null : written,
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
    const { saying, pattern, around } = likeness
    const within = { bytes, start, chars: bytes.toString('latin1', start, end) }
    const { length } = within.chars
    let at = 0
    let text = ''
    let rewritten = ''
    let ascii = true
    let events = 0
    for (let next = pattern.match(within, at); next >= 0; next = pattern.match(within, at)) {
      text += pattern.text
      ascii &&= pattern.ascii
      events++
      if (around !== null) rewritten += rewrite(within, pattern, around)
      at = next
      if (at === length) break
    }
    if (events === 0) return start
    const { choice, field } = saying
    const written = around === null ? textOf(within, 0, at, ascii) : rewritten
    const said: Said = { written, events, choice, field, text, at: this.clock.now() }
    if (!this.to(said)) return start
    this.credit++
    return start + at
  }
}

function rewrite(within: Chars, { places, ascii }: TextPattern, around: readonly string[]): string {
  let text = around[0] ?? ''
  for (let index = 1; index < around.length; index++) {
    text += textOf(within, places[2 * index - 2] ?? 0, places[2 * index - 1] ?? 0, ascii)
    text += around[index]
  }
  return text
}

function textOf({ bytes, start, chars }: Chars, from: number, to: number, ascii: boolean): string {
  return ascii ? chars.slice(from, to) : bytes.toString('utf8', start + from, start + to)
}
