import { DEFAULT_TENANT } from '#core/caller.ts'
import {
  comesTooSoon,
  EVENT_TYPES,
  type EventStore,
  type EventType,
  type FleetEvent,
  type Observation,
} from '#core/events.ts'
import { isObject, parseJson } from '#lib/json.ts'
import type { Database, Sql } from './sql.ts'

const DAY_MS = 86_400_000
const KEPT_MS = 30 * DAY_MS
const EPOCH_DIGITS = 12
/** The type of a row that is no event: it records that a message was received, so that a repetition is noticed. */
const CLAIM = 'webhook_received'

interface EventRow {
  readonly id: string
  readonly at: bigint
  readonly type: string
  readonly subject: string | null
  readonly source_id: string
  readonly payload: string
}

/** Sorts after the id of every event, which is hexadecimal, and before the id of every claim. */
const BEHIND_IDS = 'g'

/** Creates a store in a database. Writers wait for each other, so that ids rise in the order in which events become
 * visible. Events are kept for thirty days, the last one of each series longer: it says what the state is now.
 *
 * @param newId Makes a UUIDv7 of epoch milliseconds. */
export function createSqlEvents(database: Database, newId: (time: number) => string): EventStore {
  async function put(sql: Sql, observation: Observation): Promise<readonly FleetEvent[]> {
    const { event, series, state } = observation
    const last = await lastOf(sql, series)
    if (!isNew(last, observation)) return []
    const id = newId(await nextTime(sql, event.at))
    const epoch = String(Number(last?.source_id ?? 0) + 1).padStart(EPOCH_DIGITS, '0')
    await sql`
      INSERT INTO events (id, tenant, at, type, subject, source, source_id, payload)
      VALUES (${id}, ${DEFAULT_TENANT}, ${event.at}, ${event.type}, ${event.server}, ${series}, ${epoch},
        ${JSON.stringify({ state, data: event.data })})`
    return [{ ...event, id }]
  }

  return {
    async add([first, ...others], consequence) {
      // Read first: an observation that changes nothing then creates no database file and waits for no other writer.
      if (first !== undefined && !isNew(await database.read(sql => lastOf(sql, first.series)), first)) return []
      if (first === undefined && consequence === undefined) return []
      return database.write(async sql => {
        await nextTime(sql, first?.event.at ?? 0)
        const kept = first === undefined ? [] : [...(await put(sql, first))]
        if (first !== undefined && kept.length === 0) return []
        for (const each of others) kept.push(...(await put(sql, each)))
        if (consequence !== undefined)
          kept.push(...(await put(sql, consequence.from(await latest(sql, consequence.of)))))
        const [newest] = kept
        if (newest !== undefined) await removeOld(sql, newest.at - KEPT_MS)
        return kept
      })
    },
    claim: (source, id, at) =>
      database.write(async sql => {
        const kept: { id: string }[] = await sql`
          INSERT INTO events (id, tenant, at, type, subject, source, source_id, payload)
          VALUES (${`${source}:${id}`}, ${DEFAULT_TENANT}, ${at}, ${CLAIM}, ${null}, ${source}, ${id}, '{}')
          ON CONFLICT (source, source_id) DO NOTHING RETURNING id`
        await removeOld(sql, at - KEPT_MS)
        return kept.length > 0
      }),
    list: ({ after, limit }) =>
      database.read(async sql => {
        const rows: EventRow[] = await sql`
          SELECT * FROM events WHERE id > ${after} AND id < ${BEHIND_IDS} AND type IN ${sql([...EVENT_TYPES])}
          ORDER BY id LIMIT ${limit}`
        return rows.flatMap(toEvent)
      }),
    open: () => database.read(sql => latest(sql, 'failover_initiated')),
  }
}

/** Removes older rows, except the last event of each series, which says what the state is now. That one is removed,
 * too, if its server has left since. */
async function removeOld(sql: Sql, before: number): Promise<void> {
  await sql`
    DELETE FROM events WHERE at < ${before} AND (type IN (${CLAIM}, 'load_threshold_exceeded')
      OR EXISTS (SELECT 1 FROM events later WHERE later.source = events.source AND later.source_id > events.source_id)
      OR EXISTS (
        SELECT 1 FROM events gone WHERE gone.source = 'membership:' || events.subject
          AND gone.type = 'server_departed' AND gone.id >= events.id))`
}

/** The last event of each series, if it is of this type; the oldest first. */
async function latest(sql: Sql, type: EventType): Promise<readonly FleetEvent[]> {
  const rows: EventRow[] = await sql`
    SELECT * FROM events WHERE type = ${type} AND NOT EXISTS (
      SELECT 1 FROM events later WHERE later.source = events.source AND later.source_id > events.source_id)
    ORDER BY id`
  return rows.flatMap(toEvent)
}

/** The time for the next id, in epoch milliseconds: now, or just after the last one. Other writers wait here until this
 * transaction ends. */
async function nextTime(sql: Sql, now: number): Promise<number> {
  const [row]: { version: bigint }[] = await sql`
    INSERT INTO versions (subject, version) VALUES ('events', ${Math.floor(now)})
    ON CONFLICT (subject) DO UPDATE SET version = CASE
      WHEN versions.version >= excluded.version THEN versions.version + 1 ELSE excluded.version END
    RETURNING version`
  return Number(row?.version ?? now)
}

function isNew(last: EventRow | undefined, observation: Observation): boolean {
  if (last === undefined) return observation.initially !== observation.state
  return contentOf(last).state !== observation.state && !comesTooSoon(observation, Number(last.at))
}

/** The last event of a series. */
async function lastOf(sql: Sql, series: string): Promise<EventRow | undefined> {
  const [last]: EventRow[] = await sql`SELECT * FROM events WHERE source = ${series} ORDER BY source_id DESC LIMIT 1`
  return last
}

function toEvent(row: EventRow): FleetEvent[] {
  // A newer version of the gateway may have written a type that this one does not know; no page has one.
  const type = EVENT_TYPES.find(each => each === row.type)
  if (type === undefined) return []
  return [{ id: row.id, type, at: Number(row.at), server: row.subject, data: contentOf(row).data }]
}

function contentOf({ payload }: EventRow): { readonly state: unknown; readonly data: FleetEvent['data'] } {
  const content = parseJson(payload)
  if (!isObject(content)) return { state: null, data: {} }
  return { state: content.state, data: isObject(content.data) ? content.data : {} }
}
