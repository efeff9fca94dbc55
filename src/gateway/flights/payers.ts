import type { RequestRecord } from '#core/record.ts'

/** Who pays for an answer for which several wait: all of it is paid by whoever came first of those who are still there. */
export class Payers {
  private readonly began: RequestRecord
  private readonly waiting: Set<RequestRecord>
  private several = false

  constructor(began: RequestRecord) {
    this.began = began
    this.waiting = new Set([began])
  }

  /** Who would pay now; `null` while there never were several, since the one caller is charged in the usual way. */
  get payer(): RequestRecord | null {
    if (!this.several) return null
    const [payer = null] = this.waiting
    return payer
  }

  join(record: RequestRecord): void {
    this.several = true
    this.waiting.add(record)
  }

  /** Somebody leaves before the end of the answer; if he was to pay, the next one does. */
  leave(record: RequestRecord): void {
    const [payer] = this.waiting
    this.waiting.delete(record)
    const [heir] = this.waiting
    if (record !== payer || heir === undefined) return
    record.passedOn = true
    heir.heirOf = this.began
  }
}
