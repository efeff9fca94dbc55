import { expect, test } from 'bun:test'
import { createJournal, type Fact } from '#core/journal.ts'
import { createPreload } from '#registry/preload.ts'
import { model, server } from '#tests/support/calls.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'

const on = (name: string, ...servers: readonly string[]) =>
  model(
    name,
    servers.map(id => targetOf(`${id}/${name}`)),
    { aliases: [`${name}-alias`] },
  )
const FLEET = snapshotOf([on('x', 'a', 'b'), on('y', 'a', 'b'), on('z', 'hosted', 'a')])

function preloadOf(load: (id: string) => Promise<void> | null) {
  const told: string[] = []
  const asked: string[] = []
  const note = (fact: Fact) => fact.type === 'fleet-changed' && told.push(fact.message)
  const preload = createPreload({
    journal: createJournal([note]),
    load({ id }) {
      const loading = load(id)
      if (loading !== null) asked.push(id)
      return loading
    },
  })
  return { ...preload, asked, told }
}

test('each model is loaded on one server, and they are spread', async () => {
  const { begin, asked, told } = preloadOf(async () => {})

  await begin(['x', 'y-alias'], FLEET)

  expect(asked).toEqual(['a/x', 'b/y'])
  expect(told).toEqual(['x was loaded on a', 'y was loaded on b'])
})

test('only servers that load on demand are asked', async () => {
  const { begin, asked } = preloadOf(id => (id.startsWith('hosted') ? null : Promise.resolve()))

  await begin(['z'], FLEET)

  expect(asked).toEqual(['a/z'])
})

test('what cannot be loaded is told', async () => {
  const failing = preloadOf(() => Promise.reject(new Error('no room')))
  const hosted = preloadOf(() => null)

  await failing.begin(['x', 'nobody'], FLEET)
  await hosted.begin(['x'], FLEET)

  expect(failing.told).toEqual(['nobody was not loaded: no model has this name', 'x could not be loaded on a'])
  expect(hosted.told).toEqual(['x was not loaded: none of its servers loads models on demand'])
})

test('a server that comes back loads again what it was given, and the others stay', async () => {
  const { begin, again, asked } = preloadOf(async () => {})
  await begin(['x', 'y'], FLEET)

  await again(['x', 'y'], FLEET, 'a')
  await again(['x', 'y'], FLEET, null)

  expect(asked).toEqual(['a/x', 'b/y', 'a/x'])
})

test('a model whose server joins later is loaded then, and only that is told', async () => {
  const { begin, again, asked, told } = preloadOf(async () => {})
  await begin(['x'], snapshotOf([]))
  told.length = 0

  await again(['x'], snapshotOf([]), null)
  await again(['x'], FLEET, null)

  expect(asked).toEqual(['a/x'])
  expect(told).toEqual(['x was loaded on a'])
})

test('what a server was given that is gone, or is another machine by now, is loaded again', async () => {
  const moved = server('a', { baseUrl: 'http://elsewhere.test' })
  const elsewhere = snapshotOf([model('x', [targetOf('a/x', { server: moved })]), on('y', 'b')])
  const { begin, again, asked } = preloadOf(async () => {})
  await begin(['x', 'y'], FLEET)

  await again(['x', 'y'], elsewhere, null)
  await again(['x', 'y'], snapshotOf([on('x', 'b'), on('y', 'b')]), null)

  expect(asked).toEqual(['a/x', 'b/y', 'a/x', 'b/x'])
})

test('what a reload has on another server, or as another model of the same one, is loaded there', async () => {
  const { begin, again, asked } = preloadOf(async () => {})
  await begin(['x', 'y'], FLEET)

  const elsewhere = [model('x', [targetOf('b/x')]), model('y', [targetOf('a/y'), targetOf('b/y-large')])]
  await again(['x', 'y'], snapshotOf(elsewhere), null)
  await again(['x', 'y'], snapshotOf(elsewhere), null)

  expect(asked).toEqual(['a/x', 'b/y', 'b/x', 'a/y'])
})

test('a load that fails once its server has gone leaves what was loaded on another one', async () => {
  const late = Promise.withResolvers<void>()
  const { begin, again, asked } = preloadOf(id => (id === 'a/x' ? late.promise : Promise.resolve()))
  const begun = begin(['x'], FLEET)
  const without = snapshotOf([on('x', 'b')])

  await again(['x'], without, null)
  late.reject(new Error('it has gone'))
  await begun
  await again(['x'], without, null)

  expect(asked).toEqual(['a/x', 'b/x'])
})
