import type { AuditRow, LedgerRow } from '#core/ledger.ts'
import { isObject, parseJson } from '#lib/json.ts'
import { rowHash, sealOf } from './chain.ts'

/** What a row of a chain says of the requests that it seals. */
interface Seal {
  readonly row: AuditRow
  readonly rows: number
  readonly hash: string
  /** How many of them came by. */
  seen: number
  /** Those that came by, until they are all there. */
  found: { readonly id: string; readonly hash: string }[]
}

/** Compares requests, each of which comes by once and in any order, with the rows that seal them. */
export class Seals {
  /** Requests that are sealed, and those that no row seals. */
  sealed = 0
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
    seal.found.push({ id: request.id, hash: rowHash(request) })
    if (++seal.seen !== seal.rows) return
    if (sealOf(seal.found) !== seal.hash) this.report(`a request of batch ${seal.row.id} was changed`)
    // A batch is whole soon, so that few are remembered at once.
    seal.found = []
  }

  /** Tells of the batches that had too few or too many requests.
   *
   * @param isThere Whether a row that seals is still there; its requests are removed together with it. */
  async finish(isThere: (row: AuditRow) => Promise<boolean>): Promise<void> {
    for (const { row, rows, seen } of this.byBatch.values()) {
      if (seen !== rows && (await isThere(row))) this.report(`batch ${row.id} has ${seen} of ${rows} requests`)
    }
  }
}
