import { DEFAULT_TENANT } from '#core/caller.ts'
import { EVENT_TYPES, type EventStore, type FleetEvent } from '#core/events.ts'
import { isObject, parseJson } from '#lib/json.ts'
import type { Database, Sql } from './sql.ts'

const DAY_MS = 86_400_000
const KEPT_MS = 30 * DAY_MS
const EPOCH_DIGITS = 12
/** The type of a row that is no event, but remembers a message which came. */
const CLAIM = 'webhook_received'

interface EventRow {
  readonly id: string
  readonly at: bigint
  readonly type: string
  readonly subject: string | null
  readonly source_id: string
  readonly payload: string
}

/** Creates a store in a database. The number of a change within its series is unique, so that of several processes
 * which saw the same change one keeps it. Events are kept for thirty days. */
export function createSqlEvents(database: Database): EventStore {
  return {
    async add({ event, series, state, initially }) {
      const isNew = (last: EventRow | undefined) => (last === undefined ? initially : contentOf(last).state) !== state
      // Looked at first: what changes nothing makes no database and waits for no other writer.
      if (!isNew(await database.read(sql => lastOf(sql, series)))) return false
      return database.write(async sql => {
        const last = await lastOf(sql, series)
        if (!isNew(last)) return false
        const epoch = String(Number(last?.source_id ?? 0) + 1).padStart(EPOCH_DIGITS, '0')
        const kept: { id: string }[] = await sql`
          INSERT INTO events (id, tenant, at, type, subject, source, source_id, payload)
          VALUES (${event.id}, ${DEFAULT_TENANT}, ${event.at}, ${event.type}, ${event.server}, ${series}, ${epoch},
            ${JSON.stringify({ state, data: event.data })})
          ON CONFLICT (source, source_id) DO NOTHING RETURNING id`
        await sql`DELETE FROM events WHERE at < ${event.at - KEPT_MS}`
        return kept.length > 0
      })
    },
    claim: (source, id, at) =>
      database.write(async sql => {
        const kept: { id: string }[] = await sql`
          INSERT INTO events (id, tenant, at, type, subject, source, source_id, payload)
          VALUES (${`${source}:${id}`}, ${DEFAULT_TENANT}, ${at}, ${CLAIM}, ${null}, ${source}, ${id}, '{}')
          ON CONFLICT (source, source_id) DO NOTHING RETURNING id`
        await sql`DELETE FROM events WHERE at < ${at - KEPT_MS}`
        return kept.length > 0
      }),
    list: ({ after, limit }) =>
      database.read(async sql => {
        if (after !== null) {
          const rows: EventRow[] = await sql`
            SELECT * FROM events WHERE id > ${after} AND type <> ${CLAIM} ORDER BY id LIMIT ${limit}`
          return rows.flatMap(toEvent)
        }
        const rows: EventRow[] = await sql`
          SELECT * FROM events WHERE type <> ${CLAIM} ORDER BY id DESC LIMIT ${limit}`
        return rows.toReversed().flatMap(toEvent)
      }),
  }
}

/** The last change of a series. */
async function lastOf(sql: Sql, series: string): Promise<EventRow | undefined> {
  const [last]: EventRow[] = await sql`SELECT * FROM events WHERE source = ${series} ORDER BY source_id DESC LIMIT 1`
  return last
}

function toEvent(row: EventRow): FleetEvent[] {
  // A newer version of the gateway may know more.
  const type = EVENT_TYPES.find(each => each === row.type)
  if (type === undefined) return []
  return [{ id: row.id, type, at: Number(row.at), server: row.subject, data: contentOf(row).data }]
}

function contentOf({ payload }: EventRow): { readonly state: unknown; readonly data: FleetEvent['data'] } {
  const content = parseJson(payload)
  if (!isObject(content)) return { state: null, data: {} }
  return { state: content.state, data: isObject(content.data) ? content.data : {} }
}
