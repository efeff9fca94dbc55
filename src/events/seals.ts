import type { AuditRow, LedgerRow } from '#core/ledger.ts'
import { sha256 } from '#lib/hash.ts'
import { isObject, parseJson } from '#lib/json.ts'
import { sealOf, textOfRow } from './chain.ts'

/** A batch of sealed requests: what its row of the chain says, and what was found. */
interface Seal {
  readonly row: AuditRow
  readonly rows: number
  readonly hash: string
  /** How many of its requests were read so far. */
  seen: number
  /** The requests that were read, until the batch is complete. */
  found: { readonly id: string; readonly hash: string }[]
}

/** Compares requests with the rows that seal them. Every row must be added before the first request is taken; each request
 * is taken once, in any order. */
export class Seals {
  /** How many requests belong to a known batch. */
  sealed = 0
  /** How many requests belong to no known batch. */
  unsealed = 0
  private readonly byBatch = new Map<string, Seal>()
  private readonly report: (problem: string) => void

  constructor(report: (problem: string) => void) {
    this.report = report
  }

  /** Takes a row that seals requests. */
  add(row: AuditRow): void {
    const said = parseJson(row.detail)
    const { rows, hash } = isObject(said) ? said : {}
    const seal = { row, rows: typeof rows === 'number' ? rows : 0, hash: String(hash), seen: 0, found: [] }
    this.byBatch.set(row.id, seal)
  }

  take(request: LedgerRow): void {
    const seal = request.batch === null ? undefined : this.byBatch.get(request.batch)
    if (seal === undefined) {
      this.unsealed++
      return
    }
    this.sealed++
    seal.found.push({ id: request.id, hash: sha256(textOfRow(request)) })
    if (++seal.seen !== seal.rows) return
    if (sealOf(seal.found) !== seal.hash) this.report(`a request of batch ${seal.row.id} was changed`)
    // Requests of a batch are close together, so that only few batches are in memory at a time.
    seal.found = []
  }

  /** Reports the batches that had too few or too many requests.
   *
   * @param isThere Whether the row of a batch still exists. If it was removed meanwhile, so were its requests. */
  async finish(isThere: (row: AuditRow) => Promise<boolean>): Promise<void> {
    for (const { row, rows, seen } of this.byBatch.values()) {
      if (seen !== rows && (await isThere(row))) this.report(`batch ${row.id} has ${seen} of ${rows} requests`)
    }
  }
}
