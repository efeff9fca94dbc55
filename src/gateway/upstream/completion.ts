import { choicesAsked } from '#core/call.ts'
import type { DataFrame } from '#core/frame.ts'
import type { JsonObject } from '#lib/json.ts'

/** Judges from the frames of a stream whether its answer is whole; a class, because each frame asks it. */
export class Completion {
  private readonly expected: number
  private readonly open = new Set<number>()
  private readonly closed = new Set<number>()
  private said = false
  private counted = false

  constructor(body: JsonObject) {
    this.expected = choicesAsked(body)
  }

  see(frame: DataFrame): void {
    if (frame.usage !== null) this.counted = true
    if (frame.kind === 'usage') return
    for (const choice of frame.chunk.choices ?? []) {
      const index = choice.index ?? 0
      if (choice.finish_reason) {
        this.open.delete(index)
        this.closed.add(index)
      } else if (!this.closed.has(index)) this.open.add(index)
    }
  }

  /** Notes that the server has declared the answer complete. */
  done(): void {
    this.said = true
  }

  /** Whether every requested choice has finished, or the server has declared the answer complete. */
  get complete(): boolean {
    return this.said || this.closed.size >= this.expected
  }

  /** Whether no choice that began is unfinished, which is enough once the connection has closed. */
  get settled(): boolean {
    return this.closed.size > 0 && this.open.size === 0
  }

  /** Whether nothing more is to come. */
  get last(): boolean {
    return this.said || (this.counted && this.closed.size >= this.expected)
  }
}
