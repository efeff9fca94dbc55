import type { RequestRecord } from '#core/record.ts'

/** Decides who pays for an answer for which several requests wait: the first of those that still wait pays for all of
 * it. */
export class Payers {
  private readonly began: RequestRecord
  private readonly waiting: Set<RequestRecord>
  private several = false

  constructor(began: RequestRecord) {
    this.began = began
    this.waiting = new Set([began])
  }

  /** Who would pay now; `null` while there was never more than one request, which is charged in the usual way. */
  get payer(): RequestRecord | null {
    if (!this.several) return null
    const [payer = null] = this.waiting
    return payer
  }

  join(record: RequestRecord): void {
    this.several = true
    this.waiting.add(record)
  }

  /** Removes a request that leaves before the end of the answer. If it was to pay, the next one pays. */
  leave(record: RequestRecord): void {
    const [payer] = this.waiting
    this.waiting.delete(record)
    const [heir] = this.waiting
    if (record !== payer || heir === undefined) return
    record.passedOn = true
    heir.heirOf = this.began
  }
}
