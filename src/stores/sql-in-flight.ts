import type { InFlightStore } from '#core/events.ts'
import type { Database } from './sql.ts'

/** Creates the store of requests in flight in a database. */
export function createSqlInFlight(database: Database): InFlightStore {
  return {
    mark: (server, owner, until) =>
      database.write(async sql => {
        await sql`DELETE FROM failover_holds WHERE server = ${server} AND owner = ${owner}`
        if (until > 0)
          await sql`INSERT INTO failover_holds (server, owner, until) VALUES (${server}, ${owner}, ${until})`
      }),
    hasAny: (server, now) =>
      database.read(async sql => {
        const rows: { owner: string }[] = await sql`
          SELECT owner FROM failover_holds WHERE server = ${server} AND until > ${now} LIMIT 1`
        return rows.length > 0
      }),
  }
}
