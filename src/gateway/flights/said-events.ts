import type { Said } from '#core/bypass.ts'
import type { DataFrame, Frame } from '#core/frame.ts'

/** The longest piece, in characters. A piece is written to a reader at once and held until its client has taken it. */
export const PIECE_CHARACTERS = 32 * 1024
const EVENT_END = '\n\n'

/** Events that went past the frames, one behind the other. They are kept as two texts, because nearly nobody joins and
 * reads them. */
export class SaidEvents {
  private readonly choice: number
  private readonly field: Said['field']
  private written = ''
  private text = ''

  constructor({ choice, field }: Said) {
    this.choice = choice
    this.field = field
  }

  /** Whether what is said goes on here. */
  fits({ choice, field, bytes }: Said): boolean {
    return choice === this.choice && field === this.field && this.written.length + bytes.length <= PIECE_CHARACTERS
  }

  /** @returns How many characters were written. */
  add({ bytes, text }: Said): number {
    const written = bytes.toString()
    this.written += written
    this.text += text
    return written.length
  }

  /** All of them as one frame. */
  get whole(): DataFrame {
    return this.frame(this.written, this.text)
  }

  /** The frames that they would have come as. Which of them said what is not known any more: the first one says it all. */
  get frames(): readonly Frame[] {
    const events = this.written.split(EVENT_END).slice(0, -1)
    return events.map((event, at) => this.frame(event + EVENT_END, at === 0 ? this.text : ''))
  }

  private frame(text: string, said: string): DataFrame {
    const chunk = { choices: [{ index: this.choice, delta: { [this.field]: said } }] }
    return { kind: 'delta', text, chunk, usage: null }
  }
}
