import type { AuditRow, LedgerRow } from '#core/ledger.ts'

// Lines of the spool begin with what they are: `o`, a request that goes out, with what its row is made of when nothing
// more is heard of it; `r`, a row of a request; `a`, one of the audit log.

/** A row that is kept: of a request, or of the audit log. */
export type KeptRow = LedgerRow | AuditRow

/** The row that a line says. Those of requests that go out are for the heirs of this process only. */
export function rowOfLine(line: string): KeptRow | null {
  return line.startsWith('o') ? null : parseLine<KeptRow>(line)
}

/** What a line says; `null` for half a line, which was the last one before the power failed. */
export function parseLine<Said>(line: string): Said | null {
  try {
    return JSON.parse(line.slice(1))
  } catch {
    return null
  }
}

/** What the store takes at once. */
export function batchOf(rows: readonly KeptRow[]): { requests: LedgerRow[]; audit: AuditRow[] } {
  const batch: { requests: LedgerRow[]; audit: AuditRow[] } = { requests: [], audit: [] }
  for (const row of rows) {
    if ('chain' in row) batch.audit.push(row)
    else batch.requests.push(row)
  }
  return batch
}
