import { Database as Opened } from 'bun:sqlite'
import type { Database, DatabasePlace, Sql } from '#stores/sql.ts'
import { createTemplate } from '#stores/sql-template.ts'

/** A database in a file that tells how SQLite finds the rows of each statement that reads: what that takes is the same
 * on every machine, which a time is not. */
export function withPlans(written: Database, place: DatabasePlace) {
  const opened = new Opened(place.kind === 'sqlite' ? (place.file ?? '') : '', { readonly: true })
  const plans: string[] = []
  const sql = createTemplate({
    one(text, bound) {
      const steps = opened.query<{ detail: string }, typeof bound>(`EXPLAIN QUERY PLAN ${text}`).all(...bound)
      plans.push(steps.map(({ detail }) => detail).join('; '))
      const rows = opened.query(text).all(...bound)
      return Object.assign(rows, { count: rows.length })
    },
    all: () => {},
  })
  const database: Database = { ...written, read: run => run(sql) }
  return { database, plans, close: () => opened.close() }
}

/** A Postgres that counts the rows which statements that read look at, in tables and in indexes: what a time stands for,
 * and the same on every machine. */
export function withRowsRead(written: Database) {
  let rows = 0
  const database: Database = {
    ...written,
    // Both looks at the counters of the connection stand in one transaction, because its end may set them back.
    read: run =>
      written.write(async sql => {
        const before = await rowsReturned(sql)
        const result = await run(sql)
        rows += (await rowsReturned(sql)) - before
        return result
      }),
  }
  return { database, rows: () => rows }
}

async function rowsReturned(sql: Sql): Promise<number> {
  const [counted] = await sql<{ rows: bigint }>`
    SELECT COALESCE(SUM(pg_stat_get_xact_tuples_returned(oid)), 0)::bigint AS rows FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace`
  return Number(counted?.rows)
}
