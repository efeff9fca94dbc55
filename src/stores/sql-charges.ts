import { type Account, keyAccount, type LedgerRow, type Spent, tenantAccount } from '#core/ledger.ts'
import type { Sql } from './sql.ts'

/** A row of `holds`. */
interface HoldRow {
  readonly request: string
  readonly account: string
  readonly period: string
  readonly nano: bigint
}

/** Releases the holds of requests and charges their costs to the accounts that are open. Each account is updated once,
 * in the same order in every transaction: otherwise two of them could wait for each other.
 *
 * @returns The new sum spent of each account that was charged, in billionths of a dollar. */
export async function settle(sql: Sql, rows: readonly LedgerRow[]): Promise<readonly Spent[]> {
  if (rows.length === 0) return []
  const sums = new Sums()
  for (const { account, period, nano } of await takeHolds(sql, rows)) sums.add(account, period, { held: -Number(nano) })
  await addCosts(sql, rows, sums)
  return change(sql, sums)
}

/** Releases holds that have expired.
 *
 * @param now Epoch milliseconds.
 * @param inProcess Whether the database runs in this process (SQLite) and so has no other clock.
 * @returns How many requests had such holds. */
export async function expireHolds(sql: Sql, now: number, inProcess: boolean): Promise<number> {
  // Not later than the clock of Postgres: a process whose clock is ahead would release the holds of all others.
  const bound = inProcess ? sql`${now}` : sql`LEAST(${now}, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT)`
  const late: HoldRow[] = await sql`DELETE FROM holds WHERE expires_at <= ${bound} RETURNING *`
  const sums = new Sums()
  for (const { account, period, nano } of late) sums.add(account, period, { held: -Number(nano) })
  await change(sql, sums)
  return new Set(late.map(({ request }) => request)).size
}

/** Removes the holds of requests. Looks first whether there is any hold, because mostly there is none. */
async function takeHolds(sql: Sql, rows: readonly LedgerRow[]): Promise<readonly HoldRow[]> {
  if ((await sql`SELECT request FROM holds LIMIT 1`).length === 0) return []
  return sql`DELETE FROM holds WHERE request IN ${sql(rows.map(({ id }) => id))} RETURNING *`
}

async function addCosts(sql: Sql, rows: readonly LedgerRow[], sums: Sums): Promise<void> {
  const days = new Set(rows.map(({ day }) => day))
  const periods = [...new Set([...days].flatMap(day => [day, monthOf(day)]))]
  const accounts = [...new Set(rows.flatMap(accountsOf))]
  const open: Pick<Account, 'id' | 'period'>[] = await sql`
    SELECT account AS id, period FROM budgets WHERE account IN ${sql(accounts)} AND period IN ${sql(periods)}`
  if (open.length === 0) return
  const known = new Set(open.map(({ id, period }) => `${period} ${id}`))
  for (const row of rows) {
    const { day, cost_nano } = row
    if (!cost_nano) continue
    for (const account of accountsOf(row)) {
      for (const period of [day, monthOf(day)])
        if (known.has(`${period} ${account}`)) sums.add(account, period, { spent: cost_nano })
    }
  }
}

/** The accounts that a request may be charged to: those of its key and of its tenant. */
function accountsOf({ tenant, key_id }: LedgerRow): readonly string[] {
  return [keyAccount(tenant, key_id), tenantAccount(tenant)]
}

async function change(sql: Sql, sums: Sums): Promise<readonly Spent[]> {
  const charged: Spent[] = []
  for (const { account, period, held, spent } of sums.sorted()) {
    const [row]: { spent: bigint }[] = await sql`
      UPDATE budgets SET held = held + ${held}, spent = spent + ${spent}
      WHERE account = ${account} AND period = ${period} RETURNING spent`
    if (row !== undefined && spent !== 0) charged.push({ id: account, period, nano: Number(row.spent) })
  }
  return charged
}

function monthOf(day: string): string {
  return day.slice(0, 7)
}

/** What changes of an account in a period. */
interface Sum {
  readonly account: string
  readonly period: string
  held: number
  spent: number
}

class Sums {
  private readonly byKey = new Map<string, Sum>()

  add(account: string, period: string, { held = 0, spent = 0 }: Partial<Pick<Sum, 'held' | 'spent'>>): void {
    const key = `${period} ${account}`
    const sum = this.byKey.get(key)
    if (sum === undefined) {
      this.byKey.set(key, { account, period, held, spent })
      return
    }
    sum.held += held
    sum.spent += spent
  }

  /** All sums in one order, so that no two transactions wait for each other. */
  sorted(): readonly Sum[] {
    return [...this.byKey.values()].sort((a, b) => compare(a.account, b.account) || compare(a.period, b.period))
  }
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
