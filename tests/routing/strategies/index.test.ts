import { expect, test } from 'bun:test'
import { STRATEGIES } from '#routing/strategies/index.ts'

test('servers are read, and answers timed, for the strategies that go by it and for no other', () => {
  const all = [...STRATEGIES.values()]

  expect(all.filter(({ reads }) => reads).map(({ name }) => name)).toEqual([
    'least_busy',
    'affinity',
    'resident',
    'auto',
  ])
  expect(all.filter(({ observes }) => observes).map(({ name }) => name)).toEqual([
    'latency',
    'affinity',
    'resident',
    'auto',
  ])
})
