import type { Said } from '#core/bypass.ts'
import type { DataFrame, Frame } from '#core/frame.ts'

/** The longest piece, in characters. A piece is written to a reader at once, and kept until its client has read it. */
export const PIECE_CHARACTERS = 32 * 1024
const EVENT_END = '\n\n'

/** Consecutive events that bypassed the frames. They are kept as two texts, because almost nobody joins and reads them.
 */
export class SaidEvents {
  private readonly choice: number
  private readonly field: Said['field']
  private written = ''
  private text = ''

  constructor({ choice, field }: Said) {
    this.choice = choice
    this.field = field
  }

  /** Whether an event can be appended here. */
  fits({ choice, field, written }: Said): boolean {
    return choice === this.choice && field === this.field && this.written.length + written.length <= PIECE_CHARACTERS
  }

  /** @returns How many characters were written. */
  add({ written, text }: Said): number {
    this.written += written
    this.text += text
    return written.length
  }

  /** All events as one frame. */
  get whole(): DataFrame {
    return this.frame(this.written, this.text)
  }

  /** The frames of these events. It is no longer known which event had which part of the text, so the first frame has
   * all of it. */
  get frames(): readonly Frame[] {
    const events = this.written.split(EVENT_END).slice(0, -1)
    return events.map((event, at) => this.frame(event + EVENT_END, at === 0 ? this.text : ''))
  }

  private frame(text: string, said: string): DataFrame {
    const chunk = { choices: [{ index: this.choice, delta: { [this.field]: said } }] }
    return { kind: 'delta', text, chunk, usage: null }
  }
}
