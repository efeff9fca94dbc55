import { type CursorStore, LEASES_MAX } from '#core/events.ts'
import type { Database } from './sql.ts'

/** Creates a store in a database. */
export function createSqlCursors(database: Database): CursorStore {
  return {
    claim: (webhook, owner, { now, until, first }) =>
      database.write(async sql => {
        const rows: { after_id: string }[] = await sql`
          INSERT INTO cursors (webhook, owner, until, after_id) VALUES (${webhook}, ${owner}, ${until}, ${first})
          ON CONFLICT (webhook) DO UPDATE SET owner = excluded.owner, until = excluded.until
          WHERE cursors.owner = excluded.owner OR cursors.until <= ${now} OR cursors.until > ${now + LEASES_MAX * (until - now)}
          RETURNING after_id`
        return rows[0]?.after_id ?? null
      }),
    advance: (webhook, owner, after, until) =>
      database.write(async sql => {
        const rows: { webhook: string }[] = await sql`
          UPDATE cursors SET after_id = ${after}, until = ${until} WHERE webhook = ${webhook} AND owner = ${owner}
          RETURNING webhook`
        return rows.length > 0
      }),
  }
}
