import { describe, expect, test } from 'bun:test'
import { createLineups, rehearse, turnsOf } from '#routing/lineup.ts'
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

test('a rehearsal goes on from the turns of before, and leaves them as they are', () => {
  const [lineups, snapshot] = [createLineups(), snapshotOf([a])]
  const real = lineups.of([a], 'chat', snapshot)
  const [candidate] = real.tiers.flat()
  if (candidate === undefined) throw new Error('there is one')
  turnsOf(real, 'cost').set(candidate, 1)
  const rehearsed = rehearse(lineups)
  turnsOf(rehearsed.of([a], 'chat', snapshot), 'cost').set(candidate, 2)

  expect(turnsOf(rehearsed.of([a], 'chat', snapshot), 'cost').get(candidate)).toBe(2)
  expect(turnsOf(rehearse(lineups).of([a], 'chat', snapshot), 'cost').get(candidate)).toBe(1)
  expect(turnsOf(real, 'cost').get(candidate)).toBe(1)
})
