import { Database, SQLiteError, type Statement } from 'bun:sqlite'
import { closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { createInTurn } from '#lib/in-turn.ts'
import type { Rows, Sql } from './sql.ts'
import { type Connections, type Late, NEVER } from './sql-connections.ts'
import { type Bound, createTemplate } from './sql-template.ts'

/** The waits between attempts while another process writes, in milliseconds. SQLite's own waiting would block the event
 * loop. */
const BUSY_WAIT_MS = [2, 5, 10, 20, 50] as const
/** Only the owner may read the folder: the database holds keys, even if only as hashes. */
const FOLDER_MODE = 0o700
/** For the file of the database. SQLite creates the files beside it with the same mode. */
const FILE_MODE = 0o600
/** How many compiled statements are kept. The gateway has fewer, but each length of a list makes another statement. */
const COMPILED_MAX = 64

/** Opens a SQLite file, and creates it when it is missing; `null` = a database in memory, lost when it is closed.
 *
 * One connection reads and one writes: a statement that runs during a transaction on the same connection would silently
 * become a part of it. */
export async function openSqlite(file: string | null): Promise<Connections> {
  if (file !== null) mkdirSync(dirname(file), { recursive: true, mode: FOLDER_MODE })
  if (file !== null) makeFile(file)
  const writer = connect(file ?? ':memory:', { create: true, readwrite: true })
  await prepare(writer.sql)
  const reader = file === null ? writer : connect(file, { readonly: true })
  const inTurn = createInTurn()
  const opened = identityOf(file)

  /** Checks that the file is the one that was opened.
   *
   * @throws Replaced when it is not: what is written to a removed file is lost. */
  function stillThere(): void {
    if (identityOf(file) !== opened) throw new Replaced(`${file} was removed or replaced`)
  }

  return {
    async read(run, late) {
      stillThere()
      // In memory there is one connection, so reads must wait for the writes that are under way.
      return file === null ? inTurn(() => run(writer.sql)) : unlessBusy(() => run(reader.sql), late)
    },
    write: (run, late) =>
      inTurn(() => {
        stillThere()
        return unlessBusy(() => transact(writer.sql, run), late)
      }),
    check: async () => {},
    // Not needed: SQLite runs one writing transaction at a time.
    lock: async () => {},
    async hasTable(sql, name) {
      return (await sql`SELECT name FROM sqlite_master WHERE type = 'table' AND name = ${name}`).length > 0
    },
    isOver: thrown =>
      thrown instanceof Replaced || (thrown instanceof SQLiteError && thrown.message.startsWith('no such table')),
    async close() {
      await inTurn(async () => {
        reader.close()
        writer.close()
      })
    },
  }
}

/** Thrown when the file is not the one that was opened. */
class Replaced extends Error {}

/** The device and inode of a file, by which it differs from another one at its path; `null` where there is none. */
function identityOf(file: string | null): string | null {
  const found = file === null ? undefined : statSync(file, { throwIfNoEntry: false })
  return found === undefined ? null : `${found.dev} ${found.ino}`
}

/** Creates a file that is missing. An existing file is not opened: closing it again would end SQLite's locks on it. */
function makeFile(file: string): void {
  try {
    closeSync(openSync(file, 'wx', FILE_MODE))
  } catch {
    // The file exists, or SQLite fails with a better message when it opens it.
  }
}

/** One connection. Statements are compiled once: to compile the one that inserts many rows costs as much as to run
 * it. */
function connect(
  file: string,
  mode: { readonly create?: boolean; readonly readwrite?: boolean; readonly readonly?: boolean },
): { readonly sql: Sql; close(): void } {
  const database = new Database(file, { ...mode, safeIntegers: true })
  const compiled = new Map<string, Statement<unknown, Bound[]>>()

  function statement(text: string): Statement<unknown, Bound[]> {
    const known = compiled.get(text)
    if (known !== undefined) return known
    const made = database.prepare<unknown, Bound[]>(text)
    compiled.set(text, made)
    const [oldest] = compiled.keys()
    if (compiled.size > COMPILED_MAX && oldest !== undefined) {
      compiled.get(oldest)?.finalize()
      compiled.delete(oldest)
    }
    return made
  }

  function one(text: string, bound: Bound[]): Rows<unknown> {
    const made = statement(text)
    if (made.columnNames.length === 0) return Object.assign([], { count: made.run(...bound).changes })
    const rows = made.all(...bound)
    return Object.assign(rows, { count: rows.length })
  }

  return {
    sql: createTemplate({ one, all: text => void database.run(text) }),
    close: () => database.close(true),
  }
}

async function transact<T>(sql: Sql, run: (sql: Sql) => Promise<T>): Promise<T> {
  await sql`BEGIN IMMEDIATE`
  try {
    const result = await run(sql)
    await sql`COMMIT`
    return result
  } catch (thrown) {
    await sql`ROLLBACK`.catch(() => {})
    throw thrown
  }
}

async function prepare(sql: Sql): Promise<void> {
  await sql`PRAGMA busy_timeout = 0`
  await unlessBusy(() => sql`PRAGMA journal_mode = WAL`, NEVER)
  await sql`PRAGMA synchronous = NORMAL`
}

/** Runs it again while another process has the file locked.
 *
 * @throws Error when the caller has stopped waiting. */
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
  return thrown instanceof SQLiteError && thrown.code?.startsWith('SQLITE_BUSY') === true
}
