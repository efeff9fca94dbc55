import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { SQL } from 'bun'
import { createInTurn } from '#lib/in-turn.ts'
import type { Sql } from './sql.ts'
import type { Connections, Late } from './sql-connections.ts'

/** How long to wait for another process that writes; the runtime's own waiting would stop everything else here. */
const BUSY_WAIT_MS = [2, 5, 10, 20, 50] as const
/** Keys stand in it, if only as hashes: nobody but its owner has to read it. */
const FOLDER_MODE = 0o700

/** Opens a SQLite file, and makes it when it is missing; `null` = one in memory, gone when it is closed.
 *
 * One connection reads and one writes: a statement beside a transaction on the same connection would silently join it. */
export async function openSqlite(file: string | null): Promise<Connections> {
  if (file !== null) mkdirSync(dirname(file), { recursive: true, mode: FOLDER_MODE })
  const writer = new SQL({
    adapter: 'sqlite',
    filename: file ?? ':memory:',
    create: true,
    readwrite: true,
    bigint: true,
  })
  await prepare(writer)
  const reader = file === null ? writer : new SQL({ adapter: 'sqlite', filename: file, readonly: true, bigint: true })
  const inTurn = createInTurn()

  return {
    // In memory there is one connection, so reads must wait for the writes that are under way.
    read: (run, late) => (file === null ? inTurn(() => run(writer)) : unlessBusy(() => run(reader), late)),
    write: (run, late) =>
      inTurn(() => unlessBusy(() => writer.begin('immediate', transaction => run(transaction)), late)),
    // A writing transaction of SQLite is the lock.
    lock: async () => {},
    async hasTable(sql, name) {
      return (await sql`SELECT name FROM sqlite_master WHERE type = 'table' AND name = ${name}`).length > 0
    },
    isEmptied: thrown => thrown instanceof SQL.SQLiteError && thrown.message.startsWith('no such table'),
    async close() {
      await inTurn(async () => {
        await reader.close()
        await writer.close()
      })
    },
  }
}

async function prepare(writer: Sql): Promise<void> {
  await writer`PRAGMA busy_timeout = 0`
  await unlessBusy(
    () => writer`PRAGMA journal_mode = WAL`,
    () => false,
  )
  await writer`PRAGMA synchronous = NORMAL`
}

/** Runs it again while another process has the file.
 *
 * @throws Error when it is late. */
async function unlessBusy<T>(run: () => PromiseLike<T>, late: Late): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    if (late()) throw new Error('the database is busy')
    try {
      return await run()
    } catch (thrown) {
      if (!isBusy(thrown)) throw thrown
      await Bun.sleep(BUSY_WAIT_MS[attempt] ?? 50)
    }
  }
}

function isBusy(thrown: unknown): boolean {
  return thrown instanceof SQL.SQLiteError && thrown.code.startsWith('SQLITE_BUSY')
}
