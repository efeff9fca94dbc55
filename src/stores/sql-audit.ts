import { LEASES_MAX } from '#core/events.ts'
import type { AuditRow, LedgerRow } from '#core/ledger.ts'
import type { Head, UpkeepStore } from '#core/upkeep.ts'
import { othersTurn } from '#lib/turn.ts'
import type { Database, Sql } from './sql.ts'
import { trimNamed } from './sql-named.ts'
import { type RawRow, toAuditRow, toLedgerRow } from './sql-rows.ts'

/** How many rows one transaction removes. Nobody else can write to SQLite meanwhile, and calls must not be delayed. */
const TRIMMED_MAX = 500

/** Creates the store for the upkeep that one process does for all that share a database: the lease on that work, the
 * last rows of the audit chains, and the removal of old rows. */
export function createSqlUpkeep(database: Database): UpkeepStore {
  return {
    lead: (owner, now, forMs) => takeLease(database, { subject: 'upkeep', owner, now, forMs, renews: true }),
    isTrimDue: (owner, now, forMs) => takeLease(database, { subject: 'trim', owner, now, forMs, renews: false }),
    heads: before =>
      database.read(async sql => {
        const rows = await (before === undefined ? ends(sql) : endsBefore(sql, before))
        return rows.map(({ chain, seq, hash }) => ({ chain: String(chain), seq: Number(seq), hash: String(hash) }))
      }),
    async trim(heads, before, month) {
      for (const head of heads) await trimChain(database, head)
      await trimRequests(database, before)
      await trimNamed(database, 'users', before)
      await trimNamed(database, 'sessions', before)
      // As text, a day such as `2026-11-23` sorts after its month `2026-11`: the days of `month` are kept, too.
      await database.write(sql => sql`DELETE FROM budgets WHERE period < ${month}`)
    },
  }
}

/** Removes the rows of a chain up to and including one of them, the oldest first. */
async function trimChain(database: Database, { chain, seq: last }: Head): Promise<void> {
  const [row]: RawRow[] = await database.read(sql => sql`SELECT MIN(seq) AS first FROM audit WHERE chain = ${chain}`)
  for (let seq = Number(row?.first ?? last) - 1; seq < last; ) {
    seq = Math.min(last, seq + TRIMMED_MAX)
    const upTo = seq
    await database.write(sql => sql`DELETE FROM audit WHERE chain = ${chain} AND seq <= ${upTo}`)
    await othersTurn()
  }
}

/** Removes requests that ended before a time and whose row in the audit log was removed. Ids rise with the time at
 * which requests began, so the search stops at the first page without an old one. */
async function trimRequests(database: Database, before: number): Promise<void> {
  for (let last = ''; ; ) {
    const after = last
    const page: RawRow[] = await database.read(
      sql => sql`SELECT id, ended_at FROM requests WHERE id > ${after} ORDER BY id LIMIT ${TRIMMED_MAX}`,
    )
    if (!page.some(({ ended_at }) => Number(ended_at) < before)) return
    last = String(page.at(-1)?.id)
    const upTo = last
    await database.write(
      sql => sql`
        DELETE FROM requests WHERE id > ${after} AND id <= ${upTo} AND ended_at < ${before}
          AND NOT EXISTS (SELECT id FROM audit WHERE audit.id = requests.batch)`,
    )
    await othersTurn()
  }
}

/** The last row of each chain. Goes from chain to chain by the index, because this runs every half minute on a log of
 * millions of rows. */
function ends(sql: Sql): Promise<readonly RawRow[]> {
  return sql`
    WITH RECURSIVE chains (chain) AS (
      SELECT MIN(chain) FROM audit
      UNION ALL
      SELECT (SELECT MIN(audit.chain) FROM audit WHERE audit.chain > chains.chain) FROM chains
      WHERE chains.chain IS NOT NULL
    )
    SELECT audit.chain, audit.seq, audit.hash FROM chains
    JOIN audit ON audit.chain = chains.chain
      AND audit.seq = (SELECT MAX(last.seq) FROM audit AS last WHERE last.chain = chains.chain)
    ORDER BY audit.chain`
}

/** The last row of each chain before a time. Grouped by an expression (`chain || ''`), so that no database reads a
 * whole index to find the groups. */
function endsBefore(sql: Sql, before: number): Promise<readonly RawRow[]> {
  return sql`
    SELECT audit.chain, audit.seq, audit.hash FROM audit
    JOIN (SELECT MAX(chain) AS chain, MAX(seq) AS seq FROM audit WHERE at < ${before} GROUP BY chain || '') AS last
      ON audit.chain = last.chain AND audit.seq = last.seq
    ORDER BY audit.chain`
}

/** Creates the reader with which the audit log is verified: chains, rows and requests in their order. */
export function createSqlAuditSource(database: Database): {
  heads(): Promise<readonly Head[]>
  rows(after: Pick<Head, 'chain' | 'seq'> | null, limit: number): Promise<readonly AuditRow[]>
  requests(after: string, limit: number): Promise<readonly LedgerRow[]>
} {
  return {
    heads: () => createSqlUpkeep(database).heads(),
    rows: (after, limit) =>
      database.read(async sql => {
        const [chain, seq] = [after?.chain ?? '', after?.seq ?? 0]
        const rows: RawRow[] = await sql`
          SELECT * FROM audit WHERE (chain, seq) > (${chain}, ${seq})
          ORDER BY chain, seq LIMIT ${limit}`
        return rows.map(toAuditRow)
      }),
    requests: (after, limit) =>
      database.read(async sql => {
        const rows: RawRow[] = await sql`SELECT * FROM requests WHERE id > ${after} ORDER BY id LIMIT ${limit}`
        return rows.map(toLedgerRow)
      }),
  }
}

/** Takes a lease that is free, or that another clock has given for too long.
 *
 * @param lease.renews Whether the owner may take it again before it ends.
 * @returns Whether it was taken. */
function takeLease(
  database: Database,
  lease: {
    readonly subject: string
    readonly owner: string
    readonly now: number
    readonly forMs: number
    readonly renews: boolean
  },
): Promise<boolean> {
  const { subject, owner, now, forMs, renews } = lease
  return database.write(async sql => {
    const rows = await sql`
      INSERT INTO leases (subject, owner, until) VALUES (${subject}, ${owner}, ${now + forMs})
      ON CONFLICT (subject) DO UPDATE SET owner = excluded.owner, until = excluded.until
      WHERE leases.until <= ${now} OR leases.until > ${now + LEASES_MAX * forMs}
        ${renews ? sql`OR leases.owner = excluded.owner` : sql``}
      RETURNING owner`
    return rows.length > 0
  })
}
