import { LRUCache } from 'lru-cache'
import {
  type Account,
  capOf,
  type Hold,
  keyAccount,
  type Ledger,
  type LedgerRow,
  type Spent,
  tenantAccount,
} from '#core/ledger.ts'
import { PassingMap } from '#lib/passing.ts'

/** How many settled requests are remembered, so that none is charged twice. */
const SETTLED_MAX = 10_000
const ACCOUNTS_MAX = 100_000

interface Purse {
  spent: number
  held: number
}

interface Held {
  readonly accounts: readonly Account[]
  nano: number
  expiresAt: number
}

/** Creates a ledger in the memory of this process, for when there is no database or it does not answer. It counts holds
 * and budgets; rows are not kept.
 *
 * @param name Identifies this ledger to shared holds that follow it; must be unique over all ledgers. */
export function createMemoryLedger(name = ''): Ledger & {
  /** Sets what is spent and held of an account to what another store says, in billionths of a dollar. */
  follow(account: Account, used: number): void
} {
  const purses = new LRUCache<string, Purse>({ max: ACCOUNTS_MAX })
  const holds = new PassingMap<Held>()
  const settled = new LRUCache<string, true>({ max: SETTLED_MAX })
  let version = 0

  function purseOf({ id, period }: Pick<Account, 'id' | 'period'>): Purse {
    const key = `${id} ${period}`
    const known = purses.get(key)
    if (known !== undefined) return known
    const purse = { spent: 0, held: 0 }
    purses.set(key, purse)
    return purse
  }

  const usedOf = (account: Account) => {
    const { spent, held } = purseOf(account)
    return spent + held
  }

  function release(request: string, { accounts, nano }: Held): void {
    holds.delete(request)
    for (const account of accounts) purseOf(account).held -= nano
  }

  function settle({ id, parent, tenant, key_id, day, cost_nano }: LedgerRow, charged: Spent[]): void {
    if (parent !== null || settled.has(id)) return
    settled.set(id, true)
    const held = holds.get(id)
    if (held !== null) release(id, held)
    if (cost_nano === null) return
    for (const account of [keyAccount(tenant, key_id), tenantAccount(tenant)]) {
      for (const period of [day, day.slice(0, 7)]) {
        const purse = purses.get(`${account} ${period}`)
        if (purse === undefined) continue
        purse.spent += cost_nano
        charged.push({ id: account, period, nano: purse.spent })
      }
    }
  }

  return {
    hold(hold: Hold) {
      const { request, accounts, nano, expiresAt } = hold
      const refused = accounts.find(account => usedOf(account) + nano > capOf(hold, account))
      if (refused === undefined) {
        for (const account of accounts) purseOf(account).held += nano
        const before = holds.get(request)
        if (before === null) holds.set(request, { accounts, nano, expiresAt })
        else {
          before.nano += nano
          before.expiresAt = expiresAt
        }
      }
      return { refused: refused ?? null, used: accounts.map(usedOf) }
    },
    write({ requests }) {
      const spent: Spent[] = []
      for (const row of requests) settle(row, spent)
      return { ledger: name, version: ++version, spent }
    },
    expire(now) {
      const late = [...holds].filter(([, { expiresAt }]) => expiresAt <= now)
      for (const [request, held] of late) release(request, held)
      return late.length
    },
    holds: () => holds.size,
    balance: accounts => ({
      ledger: name,
      version: ++version,
      spent: accounts.map(({ id, period }) => ({ id, period, nano: purseOf({ id, period }).spent })),
    }),
    follow(account, used) {
      const purse = purseOf(account)
      purse.spent = used - purse.held
    },
  }
}
