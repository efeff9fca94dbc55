import { expect, test } from 'bun:test'
import type { Account, HoldVerdict } from '#core/ledger.ts'
import { createBudgetUse } from '#gateway/ledger/budget-use.ts'
import { fakeClock } from '#tests/support/clock.ts'

const clock = fakeClock()
const account = (id: string, cap: number, resetsIn = 1000): Account => ({
  id,
  tenant: 'shop',
  period: '2026-01',
  cap,
  resetsAt: clock.time() + resetsIn,
})
const holdOf = (...accounts: Account[]) => ({ request: 'r', accounts, nano: 1, expiresAt: 0 })
const verdictOf = (...used: number[]): HoldVerdict => ({ refused: null, used })

test('the budget with the least left counts, for keys and for tenants', async () => {
  const use = createBudgetUse(clock)
  const before = use.highest()
  const all = holdOf(account('key:shop/web', 100), account('tenant:shop', 1000))

  use.watch(() => verdictOf(95, 100))(all)
  await use.watch(async () => verdictOf(20, 300))(holdOf(account('key:shop/other', 100), account('tenant:shop', 1000)))

  expect(before).toEqual([])
  expect(use.highest()).toEqual([
    { scope: 'key', ratio: 0.95 },
    { scope: 'tenant', ratio: 0.3 },
  ])
})

test('a budget whose period is over counts no more, and one of nothing is used up', () => {
  const use = createBudgetUse(clock)
  use.watch(() => verdictOf(95))(holdOf(account('key:shop/web', 100, 500)))
  use.watch(() => verdictOf(0))(holdOf(account('tenant:shop', 0, 2000)))

  clock.advance(500)

  expect(use.highest()).toEqual([{ scope: 'tenant', ratio: 1 }])
})

test('an account that was not looked at, because another one refused, stays as it was', () => {
  const use = createBudgetUse(clock)
  const [key, tenant] = [account('key:shop/web', 100), account('tenant:shop', 100)]
  use.watch(() => verdictOf(10, 20))(holdOf(key, tenant))
  use.watch(() => ({ refused: tenant, used: [30] }))(holdOf(key, tenant))

  expect(use.highest()).toEqual([
    { scope: 'key', ratio: 0.3 },
    { scope: 'tenant', ratio: 0.2 },
  ])
})
