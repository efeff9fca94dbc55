import type { Database, DatabasePlace, SqlOptions } from './sql.ts'
import { type Connections, type Late, NEVER } from './sql-connections.ts'
import { type MigrationState, migrate, migrationStates } from './sql-migrations.ts'
import { sqliteIsMissing } from './sql-place.ts'
import { openPostgres } from './sql-postgres.ts'
import { openSqlite } from './sql-sqlite.ts'

/** Creates the client of a database; nothing is opened, made or connected before the first call. */
export function createSqlClient(options: SqlOptions): Database {
  const { place, timeoutMs } = options
  let opened: Opened | null = null
  let empty: Opened | null = null
  let wasThere = false

  function connections(operation: 'read' | 'write'): Opened {
    if (opened !== null) return opened
    const isMissing = sqliteIsMissing(place)
    // An empty one in its place would have no keys, and where nobody has one nobody is asked for it.
    if (isMissing && wasThere) throw new Error('the file of the database was removed; a restart makes a new one')
    if (isMissing && operation === 'read') {
      empty ??= openUp(openSqlite(null))
      return empty
    }
    const opening = openUp(connect(place, options))
    opened = opening
    // What could not be opened is tried again by the next call.
    opening.ready.catch(() => abandon(opening))
    return opening
  }

  /** Connections that do not answer are not waited for: the next call makes new ones. */
  function abandon(old: Opened): void {
    if (opened === old) opened = null
    void closed(old)
  }

  /** Connections that are of no use any more: the next call makes new ones, and who is being answered still is. */
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

/** Connections, and the same once the schema is up to date. */
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

/** Says which steps of the schema a database has; makes nothing. */
export async function migrationsOf(options: SqlOptions): Promise<readonly MigrationState[]> {
  const opening = sqliteIsMissing(options.place) ? openSqlite(null) : connect(options.place, options)
  return once(opening, migrationStates)
}

/** Whether the user of a database may make tables in it; makes nothing. */
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

/** Changes nothing in a database that is up to date, as one who may.
 *
 * @throws Error when nothing can be changed there. */
export async function tryToWrite(options: SqlOptions): Promise<void> {
  await once(connect(options.place, options), connections =>
    connections.write(sql => sql`UPDATE versions SET version = version WHERE subject = ''`, NEVER),
  )
}

/** Does one thing with connections of its own. */
async function once<T>(opening: Promise<Connections>, run: (connections: Connections) => Promise<T>): Promise<T> {
  const connections = await opening
  try {
    return await run(connections)
  } finally {
    await connections.close()
  }
}

/** Waits for work no longer than a caller has time for, and gives up on it for good after the longest time.
 *
 * @throws Error when it was late. */
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
