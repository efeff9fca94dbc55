import type { AuditRow, LedgerRow } from '#core/ledger.ts'
import { sha256 } from '#lib/hash.ts'

/** The `prev` of the first row of a chain, which has no row before it. */
export const GENESIS = '0'.repeat(64)

/** The content of a row, without its position in a chain. */
export type AuditEntry = Omit<AuditRow, 'id' | 'chain' | 'seq' | 'prev' | 'hash'>

/** Computes the hash of a row: SHA-256 over its content, its position, and the hash of the row before. */
export function hashOf(row: Omit<AuditRow, 'hash'>): string {
  const { id, tenant, at, kind, action, actor, address, request_id, subject, outcome, code, detail } = row
  const said = [id, tenant, at, kind, action, actor, address, request_id, subject, outcome, code, detail]
  return sha256(JSON.stringify([...said, row.chain, row.seq, row.prev]))
}

/** Computes the hash that seals a batch of requests. It does not depend on their order. */
export function sealOf(rows: readonly { readonly id: string; readonly hash: string }[]): string {
  const lines = rows.map(({ id, hash }) => `${id} ${hash}`).sort()
  return sha256(lines.join('\n'))
}

/** The text of a request's row over which it is sealed: its JSON, with members in the order of the columns. A column that
 * the table gets later is left out here where it is `null`: rows without it, sealed before there was one, then still
 * match their seals. */
export function textOfRow(row: LedgerRow): string {
  return JSON.stringify(row)
}

/** A hash chain of audit rows: each row contains the hash of the one before. */
export interface Chain {
  readonly id: string
  /** Adds a row. When `keep` refuses it, the chain does not advance, so that it has no gap.
   *
   * @param id The id of the row (default: a new one).
   * @returns Whether the row was kept. */
  add(entry: AuditEntry, id?: string): boolean
}

/** Begins a chain. Each process begins one at each start, so that no process waits for another to append.
 *
 * @param deps.keep Stores a row; false when there is no room for it. */
export function createChain(
  id: string,
  deps: { readonly newId: (time: number) => string; readonly keep: (row: AuditRow) => boolean },
): Chain {
  let seq = 0
  let prev = GENESIS
  let lastTime = 0
  // Rows of one millisecond are listed by their ids, so that each takes the next one.
  const nextId = (at: number) => {
    lastTime = Math.max(lastTime + 1, at)
    return deps.newId(lastTime)
  }
  return {
    id,
    add(entry, rowId = nextId(entry.at)) {
      const linked = { id: rowId, ...entry, chain: id, seq: seq + 1, prev }
      const row: AuditRow = { ...linked, hash: hashOf(linked) }
      if (!deps.keep(row)) return false
      seq++
      prev = row.hash
      return true
    },
  }
}
