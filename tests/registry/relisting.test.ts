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
  const listOf = (id: string, ...now: string[]) => {
    names = now
    relisting.changed(server(id))
  }
  return { clock, taken, relisting, listOf, list: (...now: string[]) => listOf('a', ...now) }
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
  relisting.settle()

  expect([taken.length, clock.pending]).toEqual([1, 0])
})

test('several servers and many names are told in one line, without end', () => {
  const { taken, list, listOf, clock } = setup()
  const named = (count: number) => Array.from({ length: count }, (_, n) => `n${n}`)

  list(...named(5))
  listOf('b', ...named(11))
  listOf('c', ...named(11))
  clock.advance(100)

  expect(taken).toEqual([
    'the list of a has changed (new: n0, n1, n2, n3, n4; gone: m)',
    'the lists of b, c have changed (new: n5, n6, n7, n8, n9 and 1 more)',
  ])
})

test('what is followed at once because somebody asks is not followed again', () => {
  const { taken, relisting, listOf, list, clock } = setup()

  list('n')
  listOf('b', 'n', 'o')
  relisting.settle()
  expect(taken.slice(1)).toEqual(['the list of b has changed (new: o)'])
  relisting.settle()
  clock.advance(100)

  expect([taken.length, clock.pending]).toEqual([2, 0])
})

test('a model whose names stay tells of no name', () => {
  const { clock, taken } = setup()
  let weight = 1
  const build = () => snapshotOf([model('m', [target('a', { weight })])])
  const before = build()
  const take = (_: unknown, message: string) => taken.push(message)

  weight = 2
  createRelisting({ clock, current: () => before, build, take }).changed(server('a'))

  expect(taken).toEqual(['the list of a has changed'])
})
