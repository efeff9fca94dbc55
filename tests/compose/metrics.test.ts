import { expect, test } from 'bun:test'
import { ALONE } from '#core/crew.ts'
import { createStates } from '#registry/states.ts'
import { composeMetrics } from '#src/compose/metrics.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { snapshotOf } from '#tests/support/fleet.ts'

test('a worker whose numbers cannot be read for once writes them down the next time', () => {
  const clock = fakeClock()
  const written: unknown[] = []
  let hasDescriptors = true
  composeMetrics({
    clock,
    environment: () => null,
    snapshot: () => snapshotOf([]),
    states: createStates(),
    calls: { queueDepth: () => 0, retriesLeft: () => 0 },
    cache: { size: () => ({ entries: 0, bytes: 0 }) },
    ledger: { numbers: { open: () => 0, depth: () => 0, dropped: () => 0, budgets: () => [] } },
    log: { dropped: () => 0 },
    redis: null,
    pressure: {
      read() {
        if (!hasDescriptors) throw new Error('EMFILE')
        return { memory: 0, lagMs: 0 }
      },
      memoryMax: () => 1,
    },
    shared: { crew: ALONE, metrics: { write: snapshot => written.push(snapshot), readAll: () => [], fold() {} } },
  })

  hasDescriptors = false
  expect(() => clock.advance(1000)).toThrow('EMFILE')
  hasDescriptors = true
  clock.advance(1000)

  expect(written).toHaveLength(1)
})
