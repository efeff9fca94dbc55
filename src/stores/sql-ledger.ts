import type { Balance, Ledger, LedgerBatch, LedgerRow, Spent } from '#core/ledger.ts'
import type { Database, Sql } from './sql.ts'
import { expireHolds, settle } from './sql-charges.ts'
import { openAccount, takeHold } from './sql-holds.ts'
import { identify, type LedgerState, lockLedger } from './sql-ledger-lock.ts'
import { countNamed } from './sql-named.ts'

/** Creates a ledger in a database: budgets, holds, the rows of requests and the audit log.
 *
 * @param inProcess Whether the database runs in this process (SQLite), where each query blocks the event loop: then
 * sums are read page by page. */
export function createSqlLedger(database: Database, inProcess = false): Ledger {
  return {
    hold: hold => takeHold(database, hold, inProcess),
    async write(batch) {
      try {
        return await database.write(sql => keep(sql, batch))
      } catch (thrown) {
        if (!(thrown instanceof WrittenBefore)) throw thrown
        return database.write(async sql => {
          // Nobody else can write rows from here on: a row that is new now is still new when it is inserted.
          await lockLedger(sql)
          return keep(sql, { ...batch, requests: await newOf(sql, batch.requests) })
        })
      }
    },
    balance: accounts =>
      database.write(async sql => {
        await identify(sql)
        const state = await lockLedger(sql)
        const spent: Spent[] = []
        for (const account of accounts) {
          const { id, period } = account
          spent.push({ id, period, nano: await openAccount(sql, account, inProcess) })
        }
        return balanceOf(state, spent)
      }),
    expire: now => database.write(sql => expireHolds(sql, now, inProcess)),
    holds: () =>
      database.read(async sql => {
        const [row]: { holds: bigint }[] = await sql`SELECT COUNT(DISTINCT request) AS holds FROM holds`
        return Number(row?.holds ?? 0)
      }),
  }
}

function balanceOf({ version, identity }: LedgerState, spent: readonly Spent[]): Balance {
  return { ledger: String(identity), version: Number(version), spent }
}

/** Thrown when some rows of a batch exist already, which means that the batch was written before. */
class WrittenBefore extends Error {}

/** Writes a batch; `null` where it has no requests or no shared holds follow the ledger. */
async function keep(sql: Sql, { requests, audit }: LedgerBatch): Promise<Balance | null> {
  const balance = requests.length === 0 ? null : await keepRequests(sql, requests)
  if (audit.length > 0) await sql`INSERT INTO audit ${sql(audit)} ON CONFLICT DO NOTHING`
  return balance
}

/** Inserts rows, releases the holds of their requests and charges them.
 *
 * @throws WrittenBefore when not all of them are new, so that nothing is settled or charged twice. */
async function keepRequests(sql: Sql, rows: readonly LedgerRow[]): Promise<Balance | null> {
  const state = await lockLedger(sql)
  // Compares the count only: RETURNING the ids of new rows would cost a tenth more.
  const { count } = await sql`INSERT INTO requests ${sql(rows, ...columnsOf(rows))} ON CONFLICT (id) DO NOTHING`
  if (count !== rows.length) throw new WrittenBefore()
  const own = rows.filter(({ parent }) => parent === null)
  const spent = await settle(sql, own)
  await countNamed(sql, own)
  return state.identity === null ? null : balanceOf(state, spent)
}

/** The columns that have a value in at least one row: binding a null costs as much as binding a value. */
function columnsOf(rows: readonly LedgerRow[]): (keyof LedgerRow)[] {
  const [first] = rows
  if (first === undefined) return []
  const isColumn = (name: string): name is keyof LedgerRow => name in first
  return Object.keys(first)
    .filter(isColumn)
    .filter(column => rows.some(row => row[column] !== null))
}

/** The rows that are not in the database yet, each once. */
async function newOf(sql: Sql, rows: readonly LedgerRow[]): Promise<readonly LedgerRow[]> {
  const byId = new Map(rows.map(row => [row.id, row]))
  const known: { id: string }[] = await sql`SELECT id FROM requests WHERE id IN ${sql([...byId.keys()])}`
  for (const { id } of known) byId.delete(id)
  return [...byId.values()]
}
