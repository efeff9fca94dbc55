import { LRUCache } from 'lru-cache'
import type { Clock } from '#core/clock.ts'
import type { Account, LedgerStore } from '#core/ledger.ts'

const ACCOUNTS_MAX = 10_000

/** The used shares of the budgets, as this process last heard of them. */
export interface BudgetUse {
  /** Sets money aside as `hold` does, and remembers what was used then. */
  watch(hold: LedgerStore['hold']): LedgerStore['hold']
  /** The largest share of a budget whose period is not over, for keys and for tenants; 1 = all of it. */
  highest(): readonly { readonly scope: 'key' | 'tenant'; readonly ratio: number }[]
}

interface Use {
  readonly ratio: number
  readonly resetsAt: number
}

/** Creates the memory of what is used. It asks no store: each hold that is made tells what its accounts have left. */
export function createBudgetUse(clock: Pick<Clock, 'time'>): BudgetUse {
  const uses = {
    key: new LRUCache<string, Use>({ max: ACCOUNTS_MAX }),
    tenant: new LRUCache<string, Use>({ max: ACCOUNTS_MAX }),
  }

  function note(accounts: readonly Account[], used: readonly number[]): void {
    for (const [index, { id, cap, resetsAt }] of accounts.entries()) {
      const nano = used[index]
      if (nano === undefined) continue
      const scope = id.startsWith('key:') ? 'key' : 'tenant'
      uses[scope].set(id, { ratio: cap > 0 ? nano / cap : 1, resetsAt })
    }
  }

  function highestOf(scope: 'key' | 'tenant') {
    const now = clock.time()
    const ratios = [...uses[scope].values()].filter(({ resetsAt }) => resetsAt > now).map(({ ratio }) => ratio)
    return ratios.length === 0 ? [] : [{ scope, ratio: ratios.reduce((most, ratio) => Math.max(most, ratio)) }]
  }

  return {
    watch: hold => wanted => {
      const verdict = hold(wanted)
      if (!(verdict instanceof Promise)) {
        note(wanted.accounts, verdict.used)
        return verdict
      }
      return verdict.then(decided => {
        note(wanted.accounts, decided.used)
        return decided
      })
    },
    highest: () => [...highestOf('key'), ...highestOf('tenant')],
  }
}
