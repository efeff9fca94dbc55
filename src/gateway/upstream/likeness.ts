import type { Bypass, Said } from '#core/bypass.ts'
import type { Clock } from '#core/clock.ts'
import type { DataFrame } from '#core/frame.ts'
import { writeSse } from '#lib/sse.ts'
import { partsAround, TextPattern } from '#lib/text-pattern.ts'
import type { Saying, StreamEvent } from '#providers/provider.ts'

/** How many events may be learned from before any other was like one of them. */
const CREDIT = 8

interface Likeness {
  readonly saying: Saying
  readonly pattern: TextPattern
  /** What is written around the texts; `null` where events go on as the bytes they came as. */
  readonly written: readonly Buffer[] | null
}

/** Knows the events of one stream that are like one that was read in all but what they say, and passes them on as bytes:
 * neither parsed nor written anew.
 *
 * Nothing is guessed: an event that is not, byte by byte, one that was read with another text in it is read too. */
export class Likenesses {
  private readonly to: Bypass
  private readonly clock: Clock
  private likeness: Likeness | null = null
  private credit = CREDIT

  constructor(to: Bypass, clock: Clock) {
    this.to = to
    this.clock = clock
  }

  /** An event was read: others like it may pass from now on. */
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

  /** Events have to be read again: what came has changed what follows. */
  forget(): void {
    this.likeness = null
  }

  /** Passes on what it knows of these bytes; answers with the position behind it. */
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
