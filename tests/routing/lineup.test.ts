import { describe, expect, test } from 'bun:test'
import { createLineups } from '#routing/lineup.ts'
import { model } from '#tests/support/calls.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'

const [a, b] = [model('a', [targetOf('s/a')]), model('b', [targetOf('s/b')])]

describe('the homes of prompts', () => {
  test('stay when the fleet changes', () => {
    const lineups = createLineups()
    const { homes } = lineups.of([a], 'chat', snapshotOf([a]))

    expect(lineups.of([a], 'chat', snapshotOf([a, b])).homes).toBe(homes)
    expect(lineups.of([a, b], 'chat', snapshotOf([a, b])).homes).toBe(
      lineups.of([a, b], 'chat', snapshotOf([b, a])).homes,
    )
  })

  test('are let go when their model leaves', () => {
    const lineups = createLineups()
    const { homes } = lineups.of([a], 'chat', snapshotOf([a, b]))
    lineups.of([b], 'chat', snapshotOf([b]))

    expect(lineups.of([a], 'chat', snapshotOf([a, b])).homes).not.toBe(homes)
  })
})
