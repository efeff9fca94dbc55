import { type Account, capOf, type Hold, type HoldVerdict, keyAccount } from '#core/ledger.ts'
import { firstIdAt } from '#lib/id.ts'
import { othersTurn } from '#lib/turn.ts'
import type { Database, Sql } from './sql.ts'
import { lockLedger } from './sql-ledger-lock.ts'

/** How many requests one query reads. */
const PAGE = 20_000
/** How often a hold is tried at most, while accounts are closed or change. */
const TRIES_MAX = 5

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

/** Holds an amount in all accounts of a call, or in none; accounts without a row get one.
 *
 * @param inProcess As for `openAccount`. */
export async function takeHold(
  database: Database,
  hold: Hold,
  inProcess: boolean,
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
        for (const account of hold.accounts) await openAccount(sql, account, inProcess)
      })
    }
    return takeHold(database, hold, inProcess, tries - 1)
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
 * @param inProcess Whether the database runs in this process (SQLite), where each query blocks the event loop: then
 * sums are read page by page.
 * @returns What is spent of it, in billionths of a dollar. */
export async function openAccount(sql: Sql, account: Account, inProcess: boolean): Promise<number> {
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
