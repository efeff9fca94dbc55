import { SQL } from 'bun'
import { createInTurn } from '#lib/in-turn.ts'
import type { Sql } from './sql.ts'
import { type Connections, NEVER } from './sql-connections.ts'

/** The advisory lock for migrations: any number, but the same in every process. */
const MIGRATION_LOCK = 6_311_846_271

/** The encodings that can store every text. In another one, a row with a text that the database refuses would hold up
 * all rows behind it. */
const ENCODINGS: ReadonlySet<string> = new Set(['UTF8', 'SQL_ASCII'])

const UNDEFINED_TABLE = '42P01'
/** How many connections of the pool writes leave free for reads. Writes that wait for a locked table would otherwise
 * take all of them, and no key could be looked up. */
const FOR_READING = 2
/** The SQLSTATE of a write to a read-only server, such as a primary that has become a replica. */
const READ_ONLY = '25006'

/** Opens a pool of connections to Postgres.
 *
 * Sets no timeout on the server: poolers in front of it refuse such settings. */
export async function openPostgres(
  url: string,
  { pool, timeoutMs }: { readonly pool: number; readonly timeoutMs: number },
): Promise<Connections> {
  const sql = new SQL({
    url,
    ...databaseOf(url),
    max: pool,
    bigint: true,
    connectionTimeout: Math.ceil(timeoutMs / 1000),
  })
  const inTurn = createInTurn(Math.max(1, pool - FOR_READING))
  return {
    read: run => run(sql),
    write: (run, late) =>
      inTurn(() =>
        sql.begin(transaction => (late === NEVER ? run(transaction) : withLockTimeout(transaction, run, timeoutMs))),
      ),
    async check(reader) {
      const rows: { server_encoding: string }[] = await reader`SHOW server_encoding`
      const encoding = rows[0]?.server_encoding ?? ''
      if (!ENCODINGS.has(encoding)) throw new Error(`the encoding of the database is ${encoding}, and has to be UTF8`)
    },
    async lock(transaction) {
      await transaction`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`
    },
    async hasTable(reader, name) {
      const rows =
        await reader`SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = ${name}`
      return rows.length > 0
    },
    isOver: thrown =>
      thrown instanceof SQL.PostgresError && (thrown.errno === UNDEFINED_TABLE || thrown.errno === READ_ONLY),
    close: (graceMs = 0) => sql.close({ timeout: graceMs / 1000 }),
  }
}

/** Runs a write that waits no longer than `lockMs` for a lock. While a session of Postgres waits for a lock, it does not
 * notice that its client is gone: each write that was given up would keep a connection of the server. Sent together with
 * the first statement, so that it costs no round trip. */
async function withLockTimeout<T>(transaction: SQL, run: (sql: Sql) => Promise<T>, lockMs: number): Promise<T> {
  const bounded = transaction`SELECT set_config('lock_timeout', ${`${lockMs}`}, true)`.execute()
  const [result] = await Promise.all([run(transaction), bounded])
  return result
}

/** Given separately, because the runtime prefers `PGDATABASE` to the database in the address. */
function databaseOf(url: string): { readonly database?: string } {
  const name = URL.parse(url)?.pathname.slice(1) ?? ''
  return name === '' ? {} : { database: decodeURIComponent(name) }
}
