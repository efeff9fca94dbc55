import { z } from 'zod'
import { AUDIT_KINDS, type AuditRow, type LedgerRow } from '#core/ledger.ts'
import type { Opening } from './row.ts'

// A line of the spool begins with its kind: `o` is the opening of a request that goes out, from which its row is made
// if its process dies; `r` is a row of a request; `a` is a row of the audit log.

/** A row to store: of a request, or of the audit log. */
export type KeptRow = LedgerRow | AuditRow

// Lines on a disk may be damaged. A row that the database refuses would hold up all rows behind it.
const text = z.string().refine(value => !value.includes('\0'))
const textOrNull = text.nullable().default(null)
const count = z.int()
const countOrNull = count.nullable().default(null)
const msOrNull = z.number().nullable().default(null)

const ledgerRow = z.object({
  ...{ id: text, parent: textOrNull, tenant: text, key_id: text, user_id: textOrNull, session_id: textOrNull },
  ...{ address: text, day: text, started_at: count, ended_at: count, method: text, route: text, status: count },
  ...{ code: textOrNull, outcome: text, stream: count, cache: textOrNull, model: textOrNull, server: textOrNull },
  ...{ upstream_model: textOrNull, attempts: count, attempt_list: text, recovered: count, queue_ms: msOrNull },
  ...{ first_token_ms: msOrNull, input_tokens: count, cache_read_tokens: count, cache_write_tokens: count },
  ...{ output_tokens: count, reasoning_tokens: count, estimated: count, saved_tokens: count },
  ...{ cost_nano: countOrNull, extra_cost_nano: countOrNull, saved_nano: countOrNull, batch: textOrNull },
}) satisfies z.ZodType<LedgerRow>

const auditRow = z.object({
  ...{ id: text, tenant: text, at: count, kind: z.enum(AUDIT_KINDS), action: text, actor: textOrNull },
  ...{ address: textOrNull, request_id: textOrNull, subject: textOrNull, outcome: text, code: textOrNull },
  ...{ detail: text, chain: text, seq: count, prev: text, hash: text },
}) satisfies z.ZodType<AuditRow>

const opening = ledgerRow.pick({
  ...{ id: true, tenant: true, key_id: true, user_id: true, session_id: true, address: true, started_at: true },
  ...{ method: true, route: true, stream: true, model: true, server: true, upstream_model: true, attempts: true },
  ...{ input_tokens: true, cost_nano: true },
}) satisfies z.ZodType<Opening>

/** Reads the row in a line; `null` if it has none that a database would take. */
export function rowOfLine(line: string): KeptRow | null {
  if (line.startsWith('r')) return parsed(line, ledgerRow)
  return line.startsWith('a') ? parsed(line, auditRow) : null
}

/** Reads the opening in a line; used only by the process that takes over from one that died. */
export function openingOfLine(line: string): Opening | null {
  return line.startsWith('o') ? parsed(line, opening) : null
}

/** Parses a line; `null` if it is damaged, such as the half line that was the last one when the power failed. */
function parsed<Said>(line: string, schema: z.ZodType<Said>): Said | null {
  try {
    return schema.safeParse(JSON.parse(line.slice(1))).data ?? null
  } catch {
    return null
  }
}

/** Sorts rows into the batch that the store takes at once. */
export function batchOf(rows: readonly KeptRow[]): { requests: LedgerRow[]; audit: AuditRow[] } {
  const batch: { requests: LedgerRow[]; audit: AuditRow[] } = { requests: [], audit: [] }
  for (const row of rows) {
    if ('chain' in row) batch.audit.push(row)
    else batch.requests.push(row)
  }
  return batch
}
