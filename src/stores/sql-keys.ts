import {
  asPrevious,
  changeKey,
  type KeyChange,
  type KeyChanged,
  type KeyOf,
  type KeyStore,
  type StoredKey,
} from '#core/keys.ts'
import { keyView, storedSettings } from '#wire/keys.ts'
import type { Database, Sql } from './sql.ts'

/** How long a look-up may take, in milliseconds: a request may be waiting for it. */
const ANSWER_MS = 1000

interface KeyRow {
  readonly id: string
  readonly tenant: string
  readonly name: string
  readonly prefix: string
  readonly hash: string
  readonly role: string
  readonly settings: string
  readonly origin: string
  readonly created_by: string
  readonly created_at: bigint
  readonly expires_at: bigint | null
  readonly rotated_at: bigint | null
  readonly previous_until: bigint | null
  readonly revoked_at: bigint | null
}

/** Creates a store in a database.
 *
 * @param now The time in epoch milliseconds, for versions and for tenants that are seen for the first time. */
export function createSqlKeys(database: Database, now: () => number = Date.now): KeyStore {
  return {
    state: () =>
      database.read(async sql => {
        const [row]: { version: bigint; made: string | null }[] = await sql`
          SELECT version, (SELECT id FROM keys WHERE origin = 'created' LIMIT 1) AS made
          FROM versions WHERE subject = 'keys'`
        return { version: Number(row?.version ?? 0), inUse: row?.made != null }
      }, ANSWER_MS),
    find: by =>
      database.read(async sql => {
        if (!('hash' in by)) return toKey(await rowOf(sql, by))
        const [row]: KeyRow[] = await sql`SELECT * FROM keys WHERE hash = ${by.hash} OR previous_hash = ${by.hash}`
        const key = toKey(row)
        return key === null || row?.hash === by.hash ? key : asPrevious(key)
      }, ANSWER_MS),
    list: ({ tenant, after, limit }) =>
      database.read(async sql => {
        const rows: KeyRow[] = await sql`
          SELECT * FROM keys WHERE tenant = ${tenant} AND id > ${after ?? ''} ORDER BY id LIMIT ${limit}`
        return rows.map(toKey).filter(key => key !== null)
      }),
    change: change =>
      database.write(async sql => {
        const time = now()
        // First, because it is the lock, too: others who change keys wait here until this transaction ends. Versions
        // are epoch milliseconds. A counter would give two different changes the same number after a database has lost
        // one of them, by a restored backup or a replica that was behind.
        await sql`UPDATE versions SET version = CASE WHEN version >= ${time} THEN version + 1 ELSE ${time} END
          WHERE subject = 'keys'`
        return change.kind === 'create' ? insert(sql, change, time) : alter(sql, change)
      }),
  }
}

async function insert(sql: Sql, change: KeyChange & { kind: 'create' }, now: number): Promise<KeyChanged> {
  const { key, hash } = change
  await sql`INSERT INTO tenants (id, created_at, settings) VALUES (${key.tenant}, ${now}, '{}') ON CONFLICT (id) DO NOTHING`
  await sql`
    INSERT INTO keys (id, tenant, name, prefix, hash, role, settings, origin, created_by, created_at, expires_at)
    VALUES (${key.id}, ${key.tenant}, ${key.name}, ${key.prefix}, ${hash}, ${key.role}, ${JSON.stringify(key.settings)},
      ${key.origin}, ${key.createdBy}, ${key.createdAt}, ${key.expiresAt})`
  return { before: null, after: key }
}

async function alter(sql: Sql, change: Exclude<KeyChange, { kind: 'create' }>): Promise<KeyChanged | null> {
  const row = await rowOf(sql, change)
  const before = toKey(row)
  if (row === undefined || before === null) return null
  const key = changeKey(before, change)
  const changed = { before, after: key }
  if (key === before) return changed
  await sql`
    UPDATE keys SET name = ${key.name}, role = ${key.role}, settings = ${JSON.stringify(key.settings)},
      expires_at = ${key.expiresAt}, revoked_at = ${key.revokedAt}
    WHERE tenant = ${key.tenant} AND id = ${key.id}`
  if (change.kind === 'rotate') {
    await sql`
      UPDATE keys SET hash = ${change.hash}, prefix = ${key.prefix}, previous_hash = ${row.hash},
        previous_until = ${key.previousUntil}, rotated_at = ${key.rotatedAt}
      WHERE tenant = ${key.tenant} AND id = ${key.id}`
  }
  if (change.kind === 'revoke') {
    await sql`UPDATE keys SET previous_until = ${null} WHERE tenant = ${key.tenant} AND id = ${key.id}`
  }
  return changed
}

async function rowOf(sql: Sql, { tenant, id }: KeyOf): Promise<KeyRow | undefined> {
  const [row]: KeyRow[] = await sql`SELECT * FROM keys WHERE tenant = ${tenant} AND id = ${id}`
  return row
}

function toKey(row: KeyRow | undefined): StoredKey | null {
  if (row === undefined) return null
  return {
    id: row.id,
    tenant: row.tenant,
    name: row.name,
    prefix: row.prefix,
    role: keyView.shape.role.parse(row.role),
    settings: storedSettings.parse(JSON.parse(row.settings)),
    origin: keyView.shape.origin.parse(row.origin),
    createdBy: row.created_by,
    createdAt: Number(row.created_at),
    expiresAt: toTime(row.expires_at),
    rotatedAt: toTime(row.rotated_at),
    previousUntil: toTime(row.previous_until),
    revokedAt: toTime(row.revoked_at),
  }
}

function toTime(value: bigint | null): number | null {
  return value === null ? null : Number(value)
}
