import { readdirSync, readFileSync } from 'node:fs'
import type { Sql } from './sql.ts'
import { type Connections, NEVER } from './sql-connections.ts'

const FOLDER = new URL('./sql/', import.meta.url)

/** One step of the schema. Steps only add, so that processes of two versions can share a database. */
export interface Migration {
  readonly version: number
  readonly statements: string
}

/** One step, and when it was taken; epoch milliseconds, `null` = not yet. */
export interface MigrationState {
  readonly version: number
  readonly appliedAt: number | null
  /** Whether this program has the step; if not, a newer one has taken it. */
  readonly known: boolean
}

/** Reads all steps, `sql/NNN.sql`, in their order. */
export function readMigrations(): readonly Migration[] {
  return readdirSync(FOLDER)
    .filter(name => /^\d{3}\.sql$/.test(name))
    .sort()
    .map(name => ({ version: Number(name.slice(0, 3)), statements: readFileSync(new URL(name, FOLDER), 'utf8') }))
}

/** Brings a database up to date; of all processes that try at once one does it, and the others find it done.
 *
 * @returns The versions that were applied. */
export async function migrate(
  connections: Connections,
  migrations: readonly Migration[] = readMigrations(),
): Promise<readonly number[]> {
  // Looked at first, so that a database which is up to date needs no right to be changed.
  const pending = await connections.read(async sql => {
    await connections.check(sql)
    return pendingOf(connections, sql, migrations)
  }, NEVER)
  if (pending.length === 0) return []
  return connections.write(async sql => {
    await connections.lock(sql)
    await sql`CREATE TABLE IF NOT EXISTS migrations (version BIGINT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)`
    const mine = await pendingOf(connections, sql, migrations)
    for (const { version, statements } of mine) {
      await sql.unsafe(statements)
      await sql`INSERT INTO migrations (version, applied_at) VALUES (${version}, ${Date.now()})`
    }
    return mine.map(({ version }) => version)
  }, NEVER)
}

/** Says of each step whether it was taken; also of steps that only a newer program knows. */
export async function migrationStates(connections: Connections): Promise<readonly MigrationState[]> {
  const applied = await connections.read(async sql => {
    await connections.check(sql)
    return appliedOf(connections, sql)
  }, NEVER)
  const known = new Set(readMigrations().map(({ version }) => version))
  return [...new Set([...known, ...applied.keys()])]
    .sort((a, b) => a - b)
    .map(version => ({ version, appliedAt: applied.get(version) ?? null, known: known.has(version) }))
}

async function pendingOf(connections: Connections, sql: Sql, migrations: readonly Migration[]): Promise<Migration[]> {
  const applied = await appliedOf(connections, sql)
  return migrations.filter(({ version }) => !applied.has(version))
}

async function appliedOf(connections: Connections, sql: Sql): Promise<ReadonlyMap<number, number>> {
  if (!(await connections.hasTable(sql, 'migrations'))) return new Map()
  const rows: { version: bigint; applied_at: bigint }[] = await sql`SELECT version, applied_at FROM migrations`
  return new Map(rows.map(row => [Number(row.version), Number(row.applied_at)]))
}
