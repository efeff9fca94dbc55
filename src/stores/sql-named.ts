import type { LedgerRow } from '#core/ledger.ts'
import type { Sql } from './sql.ts'

/** A row of `users` or `sessions`. */
interface NamedRow {
  readonly tenant: string
  readonly key_id: string
  readonly id: string
  first_seen: number
  last_seen: number
  requests: number
  tokens: number
}

/** The characters of a name that count: an index takes no long ones. */
const NAME_MAX = 256

/** Counts requests for the users and sessions that they name: one statement for all users of a batch, and one for all
 * sessions. */
export async function countNamed(sql: Sql, rows: readonly LedgerRow[]): Promise<void> {
  const users = summed(rows, ({ user_id }) => user_id)
  if (users.length > 0) {
    await sql`INSERT INTO users ${sql(users)} ON CONFLICT (tenant, key_id, id) DO UPDATE SET
      first_seen = CASE WHEN excluded.first_seen < users.first_seen THEN excluded.first_seen ELSE users.first_seen END,
      last_seen = CASE WHEN excluded.last_seen > users.last_seen THEN excluded.last_seen ELSE users.last_seen END,
      requests = users.requests + excluded.requests, tokens = users.tokens + excluded.tokens`
  }
  const sessions = summed(rows, ({ session_id }) => session_id)
  if (sessions.length > 0) {
    await sql`INSERT INTO sessions ${sql(sessions)} ON CONFLICT (tenant, key_id, id) DO UPDATE SET
      first_seen = CASE WHEN excluded.first_seen < sessions.first_seen THEN excluded.first_seen ELSE sessions.first_seen END,
      last_seen = CASE WHEN excluded.last_seen > sessions.last_seen THEN excluded.last_seen ELSE sessions.last_seen END,
      requests = sessions.requests + excluded.requests, tokens = sessions.tokens + excluded.tokens`
  }
}

/** One row for each name of each key. */
function summed(rows: readonly LedgerRow[], nameOf: (row: LedgerRow) => string | null): readonly NamedRow[] {
  const sums = new Map<string, NamedRow>()
  for (const row of rows) {
    const id = nameOf(row)?.slice(0, NAME_MAX).toWellFormed() ?? ''
    if (id === '') continue
    const { tenant, key_id, started_at } = row
    const tokens = row.input_tokens + row.cache_read_tokens + row.cache_write_tokens + row.output_tokens
    const at = JSON.stringify([tenant, key_id, id])
    const sum = sums.get(at)
    if (sum === undefined) {
      sums.set(at, { tenant, key_id, id, first_seen: started_at, last_seen: started_at, requests: 1, tokens })
      continue
    }
    sum.first_seen = Math.min(sum.first_seen, started_at)
    sum.last_seen = Math.max(sum.last_seen, started_at)
    sum.requests++
    sum.tokens += tokens
  }
  return [...sums.values()]
}
