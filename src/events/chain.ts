import type { AuditRow, LedgerRow } from '#core/ledger.ts'
import { sha256 } from '#lib/hash.ts'

/** What the first row of a chain stands behind. */
export const GENESIS = '0'.repeat(64)

/** What a row says, without its place in a chain. */
export type AuditEntry = Omit<AuditRow, 'id' | 'chain' | 'seq' | 'prev' | 'hash'>

/** The hash of a row: over everything that it says, its place, and the hash of the row before. */
export function hashOf(row: Omit<AuditRow, 'hash'>): string {
  const { id, tenant, at, kind, action, actor, address, request_id, subject, outcome, code, detail } = row
  const said = [id, tenant, at, kind, action, actor, address, request_id, subject, outcome, code, detail]
  return sha256(JSON.stringify([...said, row.chain, row.seq, row.prev]))
}

/** The hash that seals a batch of requests, in whatever order they are read. */
export function sealOf(rows: readonly { readonly id: string; readonly hash: string }[]): string {
  const lines = rows.map(({ id, hash }) => `${id} ${hash}`).sort()
  return sha256(lines.join('\n'))
}

/** The hash of one request's row: of its JSON, its members in the order of the columns. */
export function rowHash(row: LedgerRow): string {
  return sha256(JSON.stringify(row))
}

/** One chain as far as it has grown. */
export interface Chain {
  readonly id: string
  /** Adds a row, if `keep` takes it; else the chain stays as it is, so that it has no gap.
   *
   * @param id The row's own id; a new one when absent. */
  add(entry: AuditEntry, id?: string): boolean
}

/** Begins a chain: one for each start of a process, so that no process waits for another. */
export function createChain(
  id: string,
  deps: { readonly newId: (time: number) => string; readonly keep: (row: AuditRow) => boolean },
): Chain {
  let seq = 0
  let prev = GENESIS
  return {
    id,
    add(entry, rowId = deps.newId(entry.at)) {
      const linked = { id: rowId, ...entry, chain: id, seq: seq + 1, prev }
      const row: AuditRow = { ...linked, hash: hashOf(linked) }
      if (!deps.keep(row)) return false
      seq++
      prev = row.hash
      return true
    },
  }
}
