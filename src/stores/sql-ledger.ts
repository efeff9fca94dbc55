import {
  type Account,
  type Balance,
  type Hold,
  type HoldVerdict,
  keyAccount,
  type Ledger,
  type LedgerRow,
  type Spent,
  tenantAccount,
} from '#core/ledger.ts'
import type { Database, Sql } from './sql.ts'
import { countNamed } from './sql-named.ts'

/** Keeps money and rows in a database. */
export function createSqlLedger(database: Database): Ledger {
  return {
    hold: hold => take(database, hold),
    write: ({ requests, audit }) =>
      database.write(async sql => {
        const balance = requests.length > 0 ? await keep(sql, requests) : null
        if (audit.length > 0) await sql`INSERT INTO audit ${sql(audit)} ON CONFLICT DO NOTHING`
        return balance
      }),
    balance: accounts =>
      database.write(async sql => {
        await sql`INSERT INTO versions (subject, version) VALUES (${IDENTITY}, ${newIdentity()}) ON CONFLICT DO NOTHING`
        const state = await lockLedger(sql)
        const spent: Spent[] = []
        for (const account of accounts) {
          await open(sql, account)
          const { id, period } = account
          const [row]: { spent: bigint }[] = await sql`
            SELECT spent FROM budgets WHERE account = ${id} AND period = ${period}`
          spent.push({ id, period, nano: Number(row?.spent ?? 0) })
        }
        return balanceOf(state, spent)
      }),
    expire: now =>
      database.write(async sql => {
        const late: HoldRow[] = await sql`DELETE FROM holds WHERE expires_at <= ${now} RETURNING *`
        await giveBack(sql, late)
        return new Set(late.map(({ request }) => request)).size
      }),
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

interface HoldRow {
  readonly request: string
  readonly account: string
  readonly period: string
  readonly nano: bigint
}

/** Takes the whole transaction back. */
class NotTaken extends Error {
  readonly account: Account
  readonly isOpen: boolean

  constructor(account: Account, isOpen: boolean) {
    super(isOpen ? 'too little is left' : 'the account is not open')
    this.account = account
    this.isOpen = isOpen
  }
}

async function take(database: Database, hold: Hold, mayOpen = true): Promise<HoldVerdict> {
  const used: number[] = []
  try {
    await database.write(async sql => {
      for (const account of hold.accounts) used.push(await takeFrom(sql, hold, account))
    })
    return { refused: null, used }
  } catch (thrown) {
    if (!(thrown instanceof NotTaken)) throw thrown
    if (thrown.isOpen || !mayOpen) return { refused: thrown.account, used }
    // In a transaction of its own, because it waits for whoever writes rows, who waits for the accounts.
    await database.write(async sql => {
      await lockLedger(sql)
      for (const account of hold.accounts) await open(sql, account)
    })
    return take(database, hold, false)
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
    const known = await sql`SELECT account FROM budgets WHERE account = ${id} AND period = ${period}`
    throw new NotTaken(account, known.length > 0)
  }
  await sql`
    INSERT INTO holds (request, account, tenant, period, nano, expires_at)
    VALUES (${request}, ${id}, ${account.tenant}, ${period}, ${nano}, ${expiresAt})
    ON CONFLICT (request, account, period)
    DO UPDATE SET nano = holds.nano + excluded.nano, expires_at = excluded.expires_at`
  return Number(row.used)
}

/** Opens an account with what the ledger says is spent, unless it is open. */
async function open(sql: Sql, { id, tenant, period }: Account): Promise<void> {
  const key = id.startsWith('key:') ? id.slice(keyAccount(tenant, '').length) : null
  const sums: { spent: bigint | string | null }[] =
    key !== null
      ? await sql`SELECT SUM(cost_nano) AS spent FROM requests
          WHERE tenant = ${tenant} AND key_id = ${key} AND substr(day, 1, ${period.length}) = ${period}`
      : await sql`SELECT SUM(cost_nano) AS spent FROM requests
          WHERE tenant = ${tenant} AND substr(day, 1, ${period.length}) = ${period}`
  await sql`
    INSERT INTO budgets (account, tenant, period, spent, held)
    VALUES (${id}, ${tenant}, ${period}, ${Number(sums[0]?.spent ?? 0)}, 0)
    ON CONFLICT (account, period) DO NOTHING`
}

/** Holds off everybody else who writes rows or opens accounts, until the end of the transaction. */
async function lockLedger(sql: Sql): Promise<LedgerState> {
  const [row]: LedgerState[] = await sql`
    UPDATE versions SET version = version + 1 WHERE subject = 'ledger'
    RETURNING version, (SELECT version FROM versions WHERE subject = ${IDENTITY}) AS identity`
  return row ?? { version: 0n, identity: null }
}

function split(text: string, by: string): readonly string[] {
  const at = text.indexOf(by)
  return [text.slice(0, at), text.slice(at + 1)]
}

/** Keeps rows; only those that are new settle and are charged. */
async function keep(sql: Sql, rows: readonly LedgerRow[]): Promise<Balance | null> {
  const state = await lockLedger(sql)
  const kept: { id: string }[] = await sql`INSERT INTO requests ${sql(rows)} ON CONFLICT (id) DO NOTHING RETURNING id`
  const ids = new Set(kept.map(({ id }) => id))
  const fresh = rows.filter(({ id, parent }) => parent === null && ids.has(id))
  if (fresh.length === 0) return null
  const settled: HoldRow[] = await sql`DELETE FROM holds WHERE request IN ${sql(fresh.map(({ id }) => id))} RETURNING *`
  await giveBack(sql, settled)
  const spent = await charge(sql, fresh)
  await countNamed(sql, fresh)
  return state.identity === null ? null : balanceOf(state, spent)
}

async function giveBack(sql: Sql, holds: readonly HoldRow[]): Promise<void> {
  const sums = new Sums()
  for (const { account, period, nano } of holds) sums.add(account, period, Number(nano))
  for (const [account, period, nano] of sums.sorted()) {
    await sql`UPDATE budgets SET held = held - ${nano} WHERE account = ${account} AND period = ${period}`
  }
}

/** Charges what was spent to the accounts that there are.
 *
 * @returns What is spent of them now. */
async function charge(sql: Sql, rows: readonly LedgerRow[]): Promise<readonly Spent[]> {
  const sums = new Sums()
  for (const { tenant, key_id, day, cost_nano } of rows) {
    if (!cost_nano) continue
    for (const account of [keyAccount(tenant, key_id), tenantAccount(tenant)]) {
      sums.add(account, day, cost_nano)
      sums.add(account, day.slice(0, 7), cost_nano)
    }
  }
  const wanted = sums.sorted()
  if (wanted.length === 0) return []
  const periods = [...new Set(wanted.map(([, period]) => period))]
  const open: Account[] = await sql`SELECT account AS id, period FROM budgets WHERE period IN ${sql(periods)}`
  const known = new Set(open.map(({ id, period }) => `${period} ${id}`))
  const charged: Spent[] = []
  for (const [account, period, nano] of wanted) {
    if (!known.has(`${period} ${account}`)) continue
    const [row]: { spent: bigint }[] = await sql`
      UPDATE budgets SET spent = spent + ${nano} WHERE account = ${account} AND period = ${period} RETURNING spent`
    if (row !== undefined) charged.push({ id: account, period, nano: Number(row.spent) })
  }
  return charged
}

/** Sums by account and period; in one order for everybody, so that no two transactions wait for each other. */
class Sums {
  private readonly byKey = new Map<string, number>()

  add(account: string, period: string, nano: number): void {
    const key = `${period} ${account}`
    this.byKey.set(key, (this.byKey.get(key) ?? 0) + nano)
  }

  sorted(): (readonly [account: string, period: string, nano: number])[] {
    const byAccount = [...this.byKey].map(([key, nano]) => {
      const [period = '', account = ''] = split(key, ' ')
      return [account, period, nano] as const
    })
    return byAccount.sort(([a, ap], [b, bp]) => (a === b ? (ap < bp ? -1 : 1) : a < b ? -1 : 1))
  }
}
