import {
  type Account,
  type Balance,
  type Hold,
  type HoldVerdict,
  keyAccount,
  type Ledger,
  type LedgerBatch,
  type LedgerRow,
  type Spent,
} from '#core/ledger.ts'
import { firstIdAt } from '#lib/id.ts'
import type { Database, Sql } from './sql.ts'
import { expireHolds, settle } from './sql-charges.ts'
import { countNamed } from './sql-named.ts'

/** Keeps money and rows in a database.
 *
 * @param inProcess Whether it takes the time of this process, as SQLite does: then it is asked little at a time. */
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
          // From here on nobody else writes rows, so that what is new now is new to the end.
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

/** The row of `versions` that says which ledger it is; there once somebody follows it. */
const IDENTITY = 'ledger identity'

function newIdentity(): number {
  return Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)
}

/** How far a ledger is; `identity` is null where nobody follows it. */
interface LedgerState {
  readonly version: bigint
  readonly identity: bigint | null
}

function balanceOf({ version, identity }: LedgerState, spent: readonly Spent[]): Balance {
  return { ledger: String(identity), version: Number(version), spent }
}

/** Why an account gives nothing: it has too little, it is not open, or it was when it was asked and is different now,
 * because somebody else has opened it or given back. */
type Reason = 'short' | 'closed' | 'changed'

/** Takes the whole transaction back. */
class NotTaken extends Error {
  readonly account: Account
  readonly reason: Reason
  /** How much of it is used, where that is known. */
  readonly used: readonly number[]

  constructor(account: Account, reason: Reason, ...used: readonly number[]) {
    super(`the account is ${reason}`)
    this.account = account
    this.reason = reason
    this.used = used
  }
}

/** Requests that are read at once. */
const PAGE = 20_000
/** How often an account is asked that is different each time. */
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
      // In a transaction of its own, because it waits for whoever writes rows, who waits for the accounts.
      await database.write(async sql => {
        await lockLedger(sql)
        for (const account of hold.accounts) await open(sql, account)
      })
    }
    return take(database, hold, open, tries - 1)
  }
}

/** Takes from one account if it has enough.
 *
 * @returns How much of it is used then.
 * @throws NotTaken when it has not. */
async function takeFrom(sql: Sql, { request, nano, expiresAt }: Hold, account: Account): Promise<number> {
  const { id, period, cap } = account
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

/** Opens an account with what the ledger says is spent, unless it is open.
 *
 * @returns What is spent of it. */
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

/** The same by all requests since the period began, in pages between which others have their turn. */
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
    await new Promise(resolve => setImmediate(resolve))
  }
  return spent
}

/** The first and the last day of a period, as texts. */
function daysOf(period: string): readonly [first: string, last: string] {
  return /^\d+-\d+$/.test(period) ? [`${period}-01`, `${period}-31`] : [period, period]
}

/** Holds off everybody else who writes rows or opens accounts, until the end of the transaction. Versions are times, each
 * behind the one before: a database that comes back from a backup goes on behind all that was heard of it. */
async function lockLedger(sql: Sql): Promise<LedgerState> {
  const now = Date.now()
  const [row]: LedgerState[] = await sql`
    UPDATE versions SET version = CASE WHEN version >= ${now} THEN version + 1 ELSE ${now} END WHERE subject = 'ledger'
    RETURNING version, (SELECT version FROM versions WHERE subject = ${IDENTITY}) AS identity`
  return row ?? { version: 0n, identity: null }
}

/** Some rows of a batch are there already, which nothing but a repetition explains. */
class WrittenBefore extends Error {}

/** Keeps a batch. */
async function keep(sql: Sql, { requests, audit }: LedgerBatch): Promise<Balance | null> {
  const balance = requests.length === 0 ? null : await keepRequests(sql, requests)
  if (audit.length > 0) await sql`INSERT INTO audit ${sql(audit)} ON CONFLICT DO NOTHING`
  return balance
}

/** Keeps rows, settles the holds of their requests and charges them.
 *
 * @throws WrittenBefore when not all of them are new, so that nothing is settled or charged twice. */
async function keepRequests(sql: Sql, rows: readonly LedgerRow[]): Promise<Balance | null> {
  const state = await lockLedger(sql)
  // The number alone: asking for the ids of new rows costs as much as a tenth of writing them.
  const { count } = await sql`INSERT INTO requests ${sql(rows, ...columnsOf(rows))} ON CONFLICT (id) DO NOTHING`
  if (count !== rows.length) throw new WrittenBefore()
  const own = rows.filter(({ parent }) => parent === null)
  const spent = await settle(sql, own)
  await countNamed(sql, own)
  return state.identity === null ? null : balanceOf(state, spent)
}

/** The columns in which at least one row has something: one that is bound for nothing costs as much as any other. */
function columnsOf(rows: readonly LedgerRow[]): (keyof LedgerRow)[] {
  const [first] = rows
  if (first === undefined) return []
  const isColumn = (name: string): name is keyof LedgerRow => name in first
  return Object.keys(first)
    .filter(isColumn)
    .filter(column => rows.some(row => row[column] !== null))
}

/** Those rows that are not there yet, each once. */
async function newOf(sql: Sql, rows: readonly LedgerRow[]): Promise<readonly LedgerRow[]> {
  const byId = new Map(rows.map(row => [row.id, row]))
  const known: { id: string }[] = await sql`SELECT id FROM requests WHERE id IN ${sql([...byId.keys()])}`
  for (const { id } of known) byId.delete(id)
  return [...byId.values()]
}
