import { expect, test } from 'bun:test'
import { createJournal, type Fact } from '#core/journal.ts'
import { preload } from '#registry/preload.ts'
import { model } from '#tests/support/calls.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'

async function run(names: readonly string[], load: (id: string) => Promise<void> | null) {
  const facts: Fact[] = []
  const on = (name: string, ...servers: readonly string[]) =>
    model(
      name,
      servers.map(id => targetOf(`${id}/${name}`)),
      { aliases: [`${name}-alias`] },
    )
  const asked: string[] = []
  await preload(names, snapshotOf([on('x', 'a', 'b'), on('y', 'a', 'b'), on('z', 'hosted', 'a')]), {
    journal: createJournal([fact => facts.push(fact)]),
    load({ id }) {
      const loading = load(id)
      if (loading !== null) asked.push(id)
      return loading
    },
  })
  return { asked, told: facts.flatMap(fact => (fact.type === 'fleet-changed' ? [fact.message] : [])) }
}

test('each model is loaded on one server, and they are spread', async () => {
  const { asked, told } = await run(['x', 'y-alias'], async () => {})

  expect(asked).toEqual(['a/x', 'b/y'])
  expect(told).toEqual(['x was loaded on a', 'y was loaded on b'])
})

test('only servers that load on demand are asked', async () => {
  const { asked } = await run(['z'], id => (id.startsWith('hosted') ? null : Promise.resolve()))

  expect(asked).toEqual(['a/z'])
})

test('what cannot be loaded is told', async () => {
  const failing = await run(['x', 'nobody'], () => Promise.reject(new Error('no room')))
  const hosted = await run(['x'], () => null)

  expect(failing.told).toEqual(['nobody was not loaded: no model has this name', 'x could not be loaded on a'])
  expect(hosted.told).toEqual(['x was not loaded: none of its servers loads models on demand'])
})
