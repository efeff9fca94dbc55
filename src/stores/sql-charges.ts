import { type Account, keyAccount, type LedgerRow, type Spent, tenantAccount } from '#core/ledger.ts'
import type { Sql } from './sql.ts'

/** A row of `holds`. */
export interface HoldRow {
  readonly request: string
  readonly account: string
  readonly period: string
  readonly nano: bigint
}

/** Gives back what was held for requests; most of the time there are no holds at all. */
export async function settleHolds(sql: Sql, rows: readonly LedgerRow[]): Promise<void> {
  if (rows.length === 0 || (await sql`SELECT request FROM holds LIMIT 1`).length === 0) return
  const settled: HoldRow[] = await sql`DELETE FROM holds WHERE request IN ${sql(rows.map(({ id }) => id))} RETURNING *`
  await giveBack(sql, settled)
}

/** Gives back holds that are there no more. */
export async function giveBack(sql: Sql, holds: readonly HoldRow[]): Promise<void> {
  const sums = new Sums()
  for (const { account, period, nano } of holds) sums.add(account, period, Number(nano))
  for (const [account, period, nano] of sums.sorted()) {
    await sql`UPDATE budgets SET held = held - ${nano} WHERE account = ${account} AND period = ${period}`
  }
}

/** Charges what was spent to the accounts that there are.
 *
 * @returns What is spent of them now. */
export async function charge(sql: Sql, rows: readonly LedgerRow[]): Promise<readonly Spent[]> {
  if (rows.length === 0) return []
  const days = new Set(rows.map(({ day }) => day))
  const periods = [...new Set([...days].flatMap(day => [day, monthOf(day)]))]
  const open: Account[] = await sql`SELECT account AS id, period FROM budgets WHERE period IN ${sql(periods)}`
  if (open.length === 0) return []
  const known = new Set(open.map(({ id, period }) => `${period} ${id}`))
  const sums = new Sums()
  for (const { tenant, key_id, day, cost_nano } of rows) {
    if (!cost_nano) continue
    for (const account of [keyAccount(tenant, key_id), tenantAccount(tenant)]) {
      for (const period of [day, monthOf(day)])
        if (known.has(`${period} ${account}`)) sums.add(account, period, cost_nano)
    }
  }
  const charged: Spent[] = []
  for (const [account, period, nano] of sums.sorted()) {
    const [row]: { spent: bigint }[] = await sql`
      UPDATE budgets SET spent = spent + ${nano} WHERE account = ${account} AND period = ${period} RETURNING spent`
    if (row !== undefined) charged.push({ id: account, period, nano: Number(row.spent) })
  }
  return charged
}

function monthOf(day: string): string {
  return day.slice(0, 7)
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

function split(text: string, by: string): readonly string[] {
  const at = text.indexOf(by)
  return [text.slice(0, at), text.slice(at + 1)]
}
