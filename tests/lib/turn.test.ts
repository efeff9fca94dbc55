import { expect, test } from 'bun:test'
import { createTurnEnd } from '#lib/turn.ts'

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
