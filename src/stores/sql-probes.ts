import type { ProbeBoard } from '#core/probes.ts'
import type { Database } from './sql.ts'

/** Creates a board in a database. */
export function createSqlProbes(database: Database): ProbeBoard {
  return {
    since: (server, at) =>
      database.read(async sql => {
        const rows: { at: bigint; latency_ms: number }[] = await sql`
          SELECT at, latency_ms FROM probes WHERE server = ${server} AND at >= ${Math.ceil(at)}`
        const [row] = rows
        return row === undefined ? null : { at: Number(row.at), latencyMs: row.latency_ms }
      }),
    post: (server, { at, latencyMs }) =>
      database.write(async sql => {
        await sql`
          INSERT INTO probes (server, at, latency_ms) VALUES (${server}, ${Math.floor(at)}, ${latencyMs})
          ON CONFLICT (server) DO UPDATE SET at = excluded.at, latency_ms = excluded.latency_ms`
      }),
  }
}
