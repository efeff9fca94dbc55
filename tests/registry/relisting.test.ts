import { expect, test } from 'bun:test'
import { createRelisting } from '#registry/relisting.ts'
import { model, server, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { snapshotOf } from '#tests/support/fleet.ts'

/** A fleet whose server offers these models, and what was taken of what was built. */
function setup() {
  const clock = fakeClock()
  const taken: string[] = []
  let names = ['m']
  const build = () => snapshotOf(names.map(name => model(name, [{ ...target('a'), priceBeside: () => null }])))
  let current = build()
  const relisting = createRelisting({
    clock,
    current: () => current,
    build,
    take(next, message) {
      current = next
      taken.push(message)
    },
  })
  const list = (...now: string[]) => {
    names = now
    relisting.changed(server('a'))
  }
  return { clock, taken, relisting, list }
}

test('a list that changes no model leaves the snapshot', () => {
  const { taken, list, clock } = setup()

  list('m')
  clock.advance(100)
  list('m', 'n')

  expect(taken).toEqual(['the list of a has changed (new: n)'])
})

test('changes are followed at once, and soon after another one together', () => {
  const { taken, list, clock } = setup()

  list('n')
  list('n', 'o')
  list('n', 'p')
  expect(taken).toEqual(['the list of a has changed (new: n; gone: m)'])
  clock.advance(100)
  expect(taken.slice(1)).toEqual(['the list of a has changed (new: p)'])
  clock.advance(100)
  expect(clock.pending).toBe(0)
  list('m')
  expect(taken).toHaveLength(3)
})

test('what waits when it is stopped is not followed', () => {
  const { taken, list, clock, relisting } = setup()

  list('n')
  list('o')
  relisting.stop()
  clock.advance(100)

  expect(taken).toHaveLength(1)
})
