import {
  type Account,
  type Balance,
  capOf,
  type Hold,
  type HoldVerdict,
  keyAccount,
  type Ledger,
  type LedgerBatch,
  type LedgerRow,
  type Spent,
} from '#core/ledger.ts'
import { firstIdAt } from '#lib/id.ts'
import { othersTurn } from '#lib/turn.ts'
import type { Database, Sql } from './sql.ts'
import { expireHolds, settle } from './sql-charges.ts'
import { countNamed } from './sql-named.ts'

/** Creates a ledger in a database: budgets, holds, the rows of requests and the audit log.
 *
 * @param inProcess Whether the database runs in this process (SQLite), where each query blocks the event loop: then
 * sums are read page by page. */
export function createSqlLedger(database: Database, inProcess = false): Ledger {
  const open = (sql: Sql, account: Account) => openAccount(sql, account, inProcess)
  return {
    hold: hold => take(database, hold, open),
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
        await sql`INSERT INTO versions (subject, version) VALUES (${IDENTITY}, ${newIdentity()}) ON CONFLICT DO NOTHING`
        const state = await lockLedger(sql)
        const spent: Spent[] = []
        for (const account of accounts) {
          const { id, period } = account
          spent.push({ id, period, nano: await open(sql, account) })
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

/** The row of `versions` with the random number of this ledger, made when shared holds first ask for a balance. */
const IDENTITY = 'ledger identity'

function newIdentity(): number {
  return Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)
}

/** The version of a ledger, higher after each write, and its identity; `null` where no shared holds follow it. */
interface LedgerState {
  readonly version: bigint
  readonly identity: bigint | null
}

function balanceOf({ version, identity }: LedgerState, spent: readonly Spent[]): Balance {
  return { ledger: String(identity), version: Number(version), spent }
}

/** Why an account gave no hold: its cap does not allow it, it has no row, or its row changed before it was looked at. */
type Reason = 'short' | 'closed' | 'changed'

/** Thrown to roll back the whole transaction. */
class NotTaken extends Error {
  readonly account: Account
  readonly reason: Reason
  /** One number: what is spent and held of it, in billionths of a dollar; empty where that is not known. */
  readonly used: readonly number[]

  constructor(account: Account, reason: Reason, ...used: readonly number[]) {
    super(`the account is ${reason}`)
    this.account = account
    this.reason = reason
    this.used = used
  }
}

/** How many requests one query reads. */
const PAGE = 20_000
/** How often a hold is tried at most, while accounts are closed or change. */
const TRIES_MAX = 5

async function take(
  database: Database,
  hold: Hold,
  open: (sql: Sql, account: Account) => Promise<unknown>,
  tries = TRIES_MAX,
): Promise<HoldVerdict> {
  const used: number[] = []
  try {
    await database.write(async sql => {
      for (const account of hold.accounts) used.push(await takeFrom(sql, hold, account))
    })
    return { refused: null, used }
  } catch (thrown) {
    if (!(thrown instanceof NotTaken)) throw thrown
    const undone = used.map(nano => nano - hold.nano)
    if (thrown.reason === 'short' || tries === 1) return { refused: thrown.account, used: [...undone, ...thrown.used] }
    if (thrown.reason === 'closed') {
      // In a transaction of its own: `lockLedger` waits for writers of rows, and those wait for accounts that the
      // transaction above had locked.
      await database.write(async sql => {
        await lockLedger(sql)
        for (const account of hold.accounts) await open(sql, account)
      })
    }
    return take(database, hold, open, tries - 1)
  }
}

/** Holds an amount in one account if its cap allows.
 *
 * @returns What is spent and held of the account after that, in billionths of a dollar.
 * @throws NotTaken when its cap does not allow it or it has no row. */
async function takeFrom(sql: Sql, hold: Hold, account: Account): Promise<number> {
  const { request, nano, expiresAt } = hold
  const { id, period, cap } = { ...account, cap: capOf(hold, account) }
  const [row]: { used: bigint }[] = await sql`
    UPDATE budgets SET held = held + ${nano}
    WHERE account = ${id} AND period = ${period} AND spent + held + ${nano} <= ${cap}
    RETURNING spent + held AS used`
  if (row === undefined) {
    const [now]: { used: bigint }[] = await sql`
      SELECT spent + held AS used FROM budgets WHERE account = ${id} AND period = ${period}`
    if (now === undefined) throw new NotTaken(account, 'closed')
    const used = Number(now.used)
    throw new NotTaken(account, used + nano > cap ? 'short' : 'changed', used)
  }
  await sql`
    INSERT INTO holds (request, account, tenant, period, nano, expires_at)
    VALUES (${request}, ${id}, ${account.tenant}, ${period}, ${nano}, ${expiresAt})
    ON CONFLICT (request, account, period)
    DO UPDATE SET nano = holds.nano + excluded.nano, expires_at = excluded.expires_at`
  return Number(row.used)
}

/** Creates the row of an account with what its requests have cost so far, unless there is one.
 *
 * @returns What is spent of it, in billionths of a dollar. */
async function openAccount(sql: Sql, account: Account, inProcess: boolean): Promise<number> {
  const { id, tenant, period } = account
  const [known]: { spent: bigint }[] = await sql`
    SELECT spent FROM budgets WHERE account = ${id} AND period = ${period}`
  if (known !== undefined) return Number(known.spent)
  const inPages = inProcess && !id.startsWith('key:')
  const spent = await (inPages ? spentInPages(sql, account) : spentAtOnce(sql, account))
  await sql`
    INSERT INTO budgets (account, tenant, period, spent, held)
    VALUES (${id}, ${tenant}, ${period}, ${spent}, 0)`
  return spent
}

async function spentAtOnce(sql: Sql, { id, tenant, period }: Account): Promise<number> {
  const key = id.startsWith('key:') ? id.slice(keyAccount(tenant, '').length) : null
  const [first, last] = daysOf(period)
  const [sum]: { spent: bigint | string | null }[] = await sql`
    SELECT SUM(cost_nano) AS spent FROM requests
    WHERE tenant = ${tenant} AND day >= ${first} AND day <= ${last} ${key === null ? sql`` : sql`AND key_id = ${key}`}`
  return Number(sum?.spent ?? 0)
}

/** The same from all requests since the period began, page by page; the event loop runs between two pages. */
async function spentInPages(sql: Sql, { tenant, period }: Account): Promise<number> {
  const [first, last] = daysOf(period)
  let spent = 0
  let after: string | null = firstIdAt(Date.parse(period))
  while (after !== null) {
    const [page]: { spent: bigint | string | null; last: string | null }[] = await sql`
      SELECT MAX(id) AS last, SUM(CASE WHEN tenant = ${tenant} AND day >= ${first} AND day <= ${last} THEN cost_nano END) AS spent
      FROM (SELECT id, tenant, day, cost_nano FROM requests WHERE id > ${after} ORDER BY id LIMIT ${PAGE}) AS page`
    spent += Number(page?.spent ?? 0)
    after = page?.last ?? null
    await othersTurn()
  }
  return spent
}

/** The first and the last day of a period, which is a month or a day. Days are compared as texts, so every month may
 * end at 31. */
function daysOf(period: string): readonly [first: string, last: string] {
  return /^\d+-\d+$/.test(period) ? [`${period}-01`, `${period}-31`] : [period, period]
}

/** Blocks all others who write rows or open accounts, until the transaction ends. Versions are epoch milliseconds and
 * always rise: after a restored backup they are still higher than all that were read before it. */
async function lockLedger(sql: Sql): Promise<LedgerState> {
  const now = Date.now()
  const [row]: LedgerState[] = await sql`
    UPDATE versions SET version = CASE WHEN version >= ${now} THEN version + 1 ELSE ${now} END WHERE subject = 'ledger'
    RETURNING version, (SELECT version FROM versions WHERE subject = ${IDENTITY}) AS identity`
  return row ?? { version: 0n, identity: null }
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
