import type { RequestRecord } from '#core/record.ts'

/** Who pays for an answer for which several wait: whoever came first of those who are still there, and the whole. */
export class Payers {
  private readonly began: RequestRecord
  private readonly waiting: Set<RequestRecord>
  private several = false

  constructor(began: RequestRecord) {
    this.began = began
    this.waiting = new Set([began])
  }

  /** Who pays as it stands, where there ever were several. */
  get payer(): RequestRecord | null {
    if (!this.several) return null
    const [payer = null] = this.waiting
    return payer
  }

  join(record: RequestRecord): void {
    this.several = true
    this.waiting.add(record)
  }

  /** Somebody does not wait for the end of the answer. */
  leave(record: RequestRecord): void {
    const [payer] = this.waiting
    this.waiting.delete(record)
    const [heir] = this.waiting
    if (record !== payer || heir === undefined) return
    record.passedOn = true
    heir.heirOf = this.began
  }
}
