import { expect, test } from 'bun:test'
import type { Fact } from '#core/journal.ts'
import { createRetryBudget } from '#policies/budget.ts'
import { seeded } from '#tests/support/random.ts'
import { recordOf } from '#tests/support/records.ts'

const started: Fact = { type: 'request-started', record: recordOf() }
const over: Fact = { type: 'request-settled', record: recordOf() }

function budgetOf(requests: number) {
  const budget = createRetryBudget(() => ({ budgetPercent: 20, budgetMin: 3 }))
  for (let n = 0; n < requests; n++) budget.subscriber(started)
  budget.subscriber({ type: 'hedged', won: true })
  return budget
}

test.each([
  [0, 3],
  [1, 3],
  [15, 3],
  [19, 3],
  [20, 4],
  [100, 20],
])('with %p active requests %p retries may be under way', (requests, most) => {
  const budget = budgetOf(requests)
  let taken = 0
  while (budget.take()) taken++

  expect([taken, budget.remaining()]).toEqual([most, 0])
})

test('a place that is given back can be taken again', () => {
  const budget = budgetOf(0)
  while (budget.take());

  budget.release()

  expect([budget.take(), budget.take()]).toEqual([true, false])
})

test('there are never more retries than the share allowed when the last one began', () => {
  const budget = createRetryBudget(() => ({ budgetPercent: 20, budgetMin: 3 }))
  const random = seeded(3)
  let [active, taken] = [0, 0]
  for (let n = 0; n < 20_000; n++) {
    const what = random()
    if (what < 0.35) {
      active++
      budget.subscriber(started)
    } else if (what < 0.6 && active > 0) {
      active--
      budget.subscriber(over)
    } else if (what < 0.85 && budget.take()) {
      taken++
      expect(taken).toBeLessThanOrEqual(Math.max(3, active * 0.2))
    } else if (taken > 0) {
      taken--
      budget.release()
    }
    expect(budget.remaining()).toBeGreaterThanOrEqual(0)
  }
})
