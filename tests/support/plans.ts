import { Database as Opened } from 'bun:sqlite'
import type { Database, DatabasePlace } from '#stores/sql.ts'
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
