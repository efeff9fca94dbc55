import { z } from 'zod'
import { DEFAULT_TENANT } from '#core/caller.ts'
import { changeServer, type ServerRecord, type ServerStore } from '#core/registry.ts'
import { loadMetrics, serverSettings } from '#wire/orchestration.ts'
import type { Database, Sql } from './sql.ts'

interface ServerRow {
  readonly id: string
  readonly kind: string
  readonly base_url: string
  readonly status: string
  readonly settings: string
  readonly load: string
  readonly registered_by: string
  readonly registered_at: bigint
  readonly heartbeat_at: bigint
}

/** The kind of a row that only adds state to a server which the configuration declares. */
const DECLARED = 'declared'
/** What the column `settings` holds besides the settings. */
const marks = z.object({ alerts: z.record(z.string(), z.enum(['degraded', 'draining'])).default({}) })

/** Creates a registry in a database. */
export function createSqlServers(database: Database): ServerStore {
  return {
    list: () =>
      database.read(async sql => {
        const rows: ServerRow[] = await sql`SELECT * FROM servers WHERE removed_at IS NULL ORDER BY id`
        return rows.map(toRecord)
      }),
    change: change =>
      database.write(async sql => {
        const id = change.kind === 'register' ? change.server.id : change.id
        // First, because it is the lock, too: others who change the registry wait here until this transaction ends.
        await sql`
          INSERT INTO versions (subject, version) VALUES ('servers', 1)
          ON CONFLICT (subject) DO UPDATE SET version = versions.version + 1`
        const [row]: ServerRow[] = await sql`SELECT * FROM servers WHERE id = ${id} AND removed_at IS NULL`
        const changed = changeServer(row === undefined ? null : toRecord(row), change)
        if (changed === null) return null
        if (changed.after === null) await sql`UPDATE servers SET removed_at = ${change.at} WHERE id = ${id}`
        else await put(sql, changed.after)
        return changed
      }),
  }
}

async function put(sql: Sql, record: ServerRecord): Promise<void> {
  const kind = record.origin === 'declared' ? DECLARED : record.kind
  const [settings, load] = [JSON.stringify({ ...record.settings, alerts: record.alerts }), JSON.stringify(record.load)]
  await sql`
    INSERT INTO servers (id, tenant, kind, base_url, status, settings, load, registered_by, registered_at, heartbeat_at,
      version)
    VALUES (${record.id}, ${DEFAULT_TENANT}, ${kind}, ${record.baseUrl}, ${record.status}, ${settings}, ${load},
      ${record.by}, ${record.registeredAt}, ${record.heartbeatAt}, 1)
    ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, base_url = excluded.base_url, status = excluded.status,
      settings = excluded.settings, load = excluded.load, registered_by = excluded.registered_by,
      registered_at = excluded.registered_at, heartbeat_at = excluded.heartbeat_at, removed_at = NULL,
      version = servers.version + 1`
}

function toRecord(row: ServerRow): ServerRecord {
  const declared = row.kind === DECLARED
  const settings: unknown = JSON.parse(row.settings)
  return {
    id: row.id,
    kind: declared ? '' : row.kind,
    baseUrl: row.base_url,
    origin: declared ? 'declared' : 'registered',
    status: row.status === 'draining' ? 'draining' : 'active',
    settings: serverSettings.parse(settings),
    alerts: marks.parse(settings).alerts,
    load: loadMetrics.nullable().parse(JSON.parse(row.load)),
    by: row.registered_by,
    registeredAt: Number(row.registered_at),
    heartbeatAt: Number(row.heartbeat_at),
  }
}
