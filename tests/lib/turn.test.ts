import { expect, test } from 'bun:test'
import { createTurnEnd, createTurnQuota } from '#lib/turn.ts'

test('runs what one turn has collected together, in order, after everything else of the turn', async () => {
  const order: string[] = []
  const done = Promise.withResolvers<void>()
  const atTurnEnd = createTurnEnd<string>(items => {
    order.push(...items)
    if (items.includes('last')) done.resolve()
  })

  atTurnEnd('first')
  atTurnEnd('second')
  await Promise.resolve().then(() => order.push('a microtask'))
  atTurnEnd('last')
  await done.promise

  expect(order).toEqual(['a microtask', 'first', 'second', 'last'])
})

test('what is added meanwhile waits for the next turn', async () => {
  const turns: string[][] = [[]]
  const done = Promise.withResolvers<void>()
  const atTurnEnd = createTurnEnd<string>(items => {
    turns.at(-1)?.push(...items)
    if (items.includes('outer')) atTurnEnd('inner')
    else done.resolve()
  })

  atTurnEnd('outer')
  setImmediate(() => turns.push([]))
  await done.promise

  expect(turns).toEqual([['outer'], ['inner']])
})

test('a quota is free again in the next turn, for those who wait and in their order', async () => {
  const order: string[] = []
  const room = createTurnQuota(2)
  const ask = (name: string) => room()?.then(() => order.push(name)) ?? order.push(`${name} at once`)

  const asked = ['a', 'b', 'c', 'd', 'e'].map(ask)
  order.push('end of the turn')
  setImmediate(() => order.push('next turn'))
  await Promise.all(asked)

  expect(order).toEqual(['a at once', 'b at once', 'end of the turn', 'c', 'd', 'next turn', 'e'])
})

test('who asks in a later turn takes what those who waited have left', async () => {
  const room = createTurnQuota(2)
  expect([room(), room()]).toEqual([null, null])

  await room()

  expect(room()).toBeNull()
  expect(room()).toBeInstanceOf(Promise)
})

test('a quota that nobody waits for keeps no process busy', async () => {
  const script = "const { createTurnQuota } = await import('#lib/turn.ts'); createTurnQuota(2)()"
  await using child = Bun.spawn([process.execPath, '-e', script], { timeout: 3000, stdout: 'ignore' })

  expect(await child.exited).toBe(0)
})
