import type { Database, DatabasePlace, SqlOptions } from './sql.ts'
import { type Connections, type Late, NEVER } from './sql-connections.ts'
import { type MigrationState, migrate, migrationStates } from './sql-migrations.ts'
import { sqliteIsMissing } from './sql-place.ts'
import { openPostgres } from './sql-postgres.ts'
import { openSqlite } from './sql-sqlite.ts'

/** Creates the client of a database. The first call connects and migrates; until then nothing is opened or created. A
 * read of a SQLite file that does not exist yet sees an empty database and creates no file. */
export function createSqlClient(options: SqlOptions): Database {
  const { place, timeoutMs } = options
  let opened: Opened | null = null
  let empty: Opened | null = null
  let wasThere = false

  function connections(operation: 'read' | 'write'): Opened {
    if (opened !== null) return opened
    const isMissing = sqliteIsMissing(place)
    // An empty database instead would have no keys, and in mode `auto` a gateway without keys lets everybody in.
    if (isMissing && wasThere) throw new Error('the file of the database was removed; a restart makes a new one')
    if (isMissing && operation === 'read') {
      empty ??= openUp(openSqlite(null))
      return empty
    }
    const opening = openUp(connect(place, options))
    opened = opening
    // After a failure the next call tries again.
    opening.ready.catch(() => abandon(opening))
    return opening
  }

  /** Drops connections that do not answer, without waiting for them; the next call opens new ones. */
  function abandon(old: Opened): void {
    if (opened === old) opened = null
    void closed(old)
  }

  /** Drops connections that cannot be used any more; the next call opens new ones, and calls under way may still
   * finish. */
  function leave(old: Opened): void {
    if (opened === old) opened = null
    void closed(old, timeoutMs)
  }

  async function call<T>(
    operation: 'read' | 'write',
    withinMs: number,
    run: (each: Connections, late: Late) => Promise<T>,
  ): Promise<T> {
    const startedAt = performance.now()
    let ok = false
    try {
      const used = connections(operation)
      const result = await within({ waitMs: withinMs, giveUpMs: timeoutMs, giveUp: () => abandon(used) }, late =>
        attempt(used, connections => run(connections, late)),
      )
      ok = true
      return result
    } finally {
      options.onCall?.({ operation, ok, ms: performance.now() - startedAt })
    }
  }

  async function attempt<T>(used: Opened, run: (each: Connections) => Promise<T>): Promise<T> {
    const each = await used.ready
    if (used === opened) wasThere = true
    try {
      return await run(each)
    } catch (thrown) {
      if (each.isOver(thrown)) leave(used)
      throw thrown
    }
  }

  return {
    read: (run, withinMs = timeoutMs) => call('read', withinMs, (each, late) => each.read(run, late)),
    write: run => call('write', timeoutMs, (each, late) => each.write(run, late)),
    async close() {
      const open = [opened, empty]
      opened = null
      empty = null
      for (const each of open) if (each !== null) await closed(each)
    },
  }
}

/** Connections as they were opened (`raw`), and once the schema is up to date (`ready`). */
interface Opened {
  readonly raw: Promise<Connections>
  readonly ready: Promise<Connections>
}

function openUp(raw: Promise<Connections>): Opened {
  return { raw, ready: raw.then(each => migrate(each).then(() => each)) }
}

/** Closes connections also while they are being opened; never fails. */
function closed({ raw }: Opened, graceMs = 0): Promise<void> {
  return raw.then(each => each.close(graceMs)).catch(() => {})
}

function connect(place: DatabasePlace, { pool, timeoutMs }: SqlOptions): Promise<Connections> {
  return place.kind === 'sqlite' ? openSqlite(place.file) : openPostgres(place.url, { pool, timeoutMs })
}

/** Brings a database up to date.
 *
 * @returns The versions that were applied. */
export async function migrateSql(options: SqlOptions): Promise<readonly number[]> {
  return once(connect(options.place, options), migrate)
}

/** Says which steps of the schema a database has; creates nothing. */
export async function migrationsOf(options: SqlOptions): Promise<readonly MigrationState[]> {
  const opening = sqliteIsMissing(options.place) ? openSqlite(null) : connect(options.place, options)
  return once(opening, migrationStates)
}

/** The steps of the schema that only a newer version of the gateway knows, which has taken them. */
export async function newerSteps(options: SqlOptions): Promise<readonly number[]> {
  return (await migrationsOf(options)).filter(({ known }) => !known).map(({ version }) => version)
}

/** Whether the user of a database may create tables in it; creates nothing. */
export async function mayMakeTables(options: SqlOptions): Promise<boolean> {
  if (options.place.kind === 'sqlite') return true
  return once(connect(options.place, options), async connections => {
    const rows: { may: boolean }[] = await connections.read(
      sql => sql`SELECT has_schema_privilege(current_schema(), 'CREATE') AS may`,
      NEVER,
    )
    return rows[0]?.may === true
  })
}

/** Checks that a database accepts changes, by an update that matches no row. The schema has to be up to date.
 *
 * @throws Error when it does not. */
export async function tryToWrite(options: SqlOptions): Promise<void> {
  await once(connect(options.place, options), connections =>
    connections.write(sql => sql`UPDATE versions SET version = version WHERE subject = ''`, NEVER),
  )
}

/** Opens connections for one task and closes them after it. */
async function once<T>(opening: Promise<Connections>, run: (connections: Connections) => Promise<T>): Promise<T> {
  const connections = await opening
  try {
    return await run(connections)
  } finally {
    await connections.close()
  }
}

/** Waits for work until it ends or `waitMs` have passed, and calls `giveUp` if it has not ended after `giveUpMs`.
 *
 * @throws Error when `waitMs` have passed. */
function within<T>(
  times: { readonly waitMs: number; readonly giveUpMs: number; readonly giveUp: () => void },
  work: (late: Late) => Promise<T>,
): Promise<T> {
  const { waitMs, giveUpMs, giveUp } = times
  let late = false
  return new Promise((resolve, reject) => {
    const impatient = setTimeout(() => {
      late = true
      reject(new Error(`the database did not answer within ${waitMs} ms`))
    }, waitMs)
    const hopeless = setTimeout(giveUp, giveUpMs)
    work(() => late)
      .then(resolve, reject)
      .finally(() => {
        clearTimeout(impatient)
        clearTimeout(hopeless)
      })
  })
}
