import { SQL } from 'bun'
import { createInTurn } from '#lib/in-turn.ts'
import type { Sql } from './sql.ts'
import { type Connections, NEVER } from './sql-connections.ts'

/** Any number, the same for every process: whoever has it may migrate. */
const MIGRATION_LOCK = 6_311_846_271

/** Those that take every text: one row that a database never takes would hold up all behind it. */
const ENCODINGS: ReadonlySet<string> = new Set(['UTF8', 'SQL_ASCII'])

const UNDEFINED_TABLE = '42P01'
/** Connections that writing leaves to reading: a table that somebody has locked would keep all of them waiting, and with
 * them the keys of callers. */
const FOR_READING = 2
/** What a primary says that has become a replica. */
const READ_ONLY = '25006'

/** Opens a pool of connections to Postgres.
 *
 * No timeout is asked of the server: poolers in front of it refuse such settings. */
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
        sql.begin(transaction => (late === NEVER ? run(transaction) : patient(transaction, run, timeoutMs))),
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

/** Writes, and waits for no lock longer than somebody waits here: a server does not notice that one who waits for a lock has
 * gone, and each who did would keep a connection of it. Said together with what is written, for no time of its own. */
async function patient<T>(transaction: SQL, run: (sql: Sql) => Promise<T>, lockMs: number): Promise<T> {
  const bounded = transaction`SELECT set_config('lock_timeout', ${`${lockMs}`}, true)`.execute()
  const [result] = await Promise.all([run(transaction), bounded])
  return result
}

/** Said a second time, because the runtime believes `PGDATABASE` more than the address. */
function databaseOf(url: string): { readonly database?: string } {
  const name = URL.parse(url)?.pathname.slice(1) ?? ''
  return name === '' ? {} : { database: decodeURIComponent(name) }
}
