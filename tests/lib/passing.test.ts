import { edenGC } from 'bun:jsc'
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { PassingMap, PassingSet, type Placed } from '#lib/passing.ts'
import { eventLoopTurn } from '#tests/support/socket-reads.ts'

interface Passer extends Placed {
  readonly id: number
}

const passer = (id: number): Passer => ({ id, place: -1 })

const step = fc.record({ id: fc.nat(20), comes: fc.boolean() })

test('a set has what came and has not gone', () => {
  fc.assert(
    fc.property(fc.array(step), steps => {
      const all = Array.from({ length: 21 }, (_, id) => passer(id))
      const set = new PassingSet<Passer>()
      const twin = new Set<Passer>()
      for (const { id, comes } of steps) {
        const one = all[id] ?? passer(id)
        if (!comes) set.delete(one)
        else if (!twin.has(one)) set.add(one)
        if (comes) twin.add(one)
        else twin.delete(one)
        expect(set.size).toBe(twin.size)
        expect([...set].sort((a, b) => a.id - b.id)).toEqual([...twin].sort((a, b) => a.id - b.id))
      }
    }),
  )
})

test('a map has what came last under each key', () => {
  fc.assert(
    fc.property(fc.array(step), steps => {
      const map = new PassingMap<number>()
      const twin = new Map<string, number>()
      for (const [at, { id, comes }] of steps.entries()) {
        if (comes) map.set(`${id}`, at)
        else map.delete(`${id}`)
        if (comes) twin.set(`${id}`, at)
        else twin.delete(`${id}`)
        expect(map.get(`${id}`)).toBe(twin.get(`${id}`) ?? null)
        expect(map.size).toBe(twin.size)
        expect([...map].sort()).toEqual([...twin].sort())
      }
    }),
  )
})

test('a map finds what hashes alike, also when what stood before it has gone', () => {
  const alike = (id: number) => `${id % 10} of those that end alike: 0123456789abcdef`
  fc.assert(
    fc.property(fc.array(step, { minLength: 50, maxLength: 200 }), steps => {
      const map = new PassingMap<number>()
      const twin = new Map<string, number>()
      for (const [at, { id, comes }] of steps.entries()) {
        if (comes) map.set(alike(id), at)
        else map.delete(alike(id))
        if (comes) twin.set(alike(id), at)
        else twin.delete(alike(id))
        for (let each = 0; each < 10; each++) expect(map.get(alike(each))).toBe(twin.get(alike(each)) ?? null)
      }
    }),
  )
})

test('a map grows with what is in it, and shrinks', () => {
  const map = new PassingMap<number>()
  const ids = Array.from({ length: 20_000 }, (_, id) => `${id}`)

  for (const [at, id] of ids.entries()) map.set(id, at)
  const full = [map.size, ids.every((id, at) => map.get(id) === at), map.get('none')]
  for (const id of ids.slice(0, -10)) map.delete(id)
  const left = ids.slice(-10)

  expect(full).toEqual([20_000, true, null])
  expect([...map].sort()).toEqual(left.map(id => [id, Number(id)]))
  expect(left.every(id => map.get(id) === Number(id))).toBe(true)
})

const COLLECTIONS = 8
const BETWEEN = 500
const UNDER_WAY = 32

/** The share of things that still live after they came and went, with nothing but collections of the young between. */
async function survivors(come: (one: Passer) => void, go: (one: Passer) => void): Promise<number> {
  const seen: WeakRef<Passer>[] = []
  const under: Passer[] = []
  for (let collection = 0; collection < COLLECTIONS; collection++) {
    for (let count = 0; count < BETWEEN; count++) {
      const one = passer(seen.length)
      seen.push(new WeakRef(one))
      come(one)
      under.push(one)
      if (under.length > UNDER_WAY) under.splice(0, 1).forEach(go)
    }
    // A weak reference holds what it was made of until the turn is over.
    await eventLoopTurn()
    edenGC()
  }
  return seen.filter(ref => ref.deref() !== undefined).length / seen.length
}

test('what has gone does not survive', async () => {
  const set = new PassingSet<Passer>()
  const map = new PassingMap<Passer>()

  const inSet = await survivors(
    one => set.add(one),
    one => set.delete(one),
  )
  const inMap = await survivors(
    one => map.set(`${one.id}`, one),
    one => map.delete(`${one.id}`),
  )

  // 32 of each 500 are under way when a collection comes. Of a `Set` or a `Map` more than 60 % survive.
  expect(inSet).toBeLessThan(0.2)
  expect(inMap).toBeLessThan(0.2)
})
