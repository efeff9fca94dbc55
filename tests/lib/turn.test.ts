import { expect, test } from 'bun:test'
import { createTurnEnd } from '#lib/turn.ts'

test('runs what one turn has collected together, in order, after everything else of the turn', async () => {
  const order: string[] = []
  const done = Promise.withResolvers<void>()
  const atTurnEnd = createTurnEnd<string>(item => {
    order.push(item)
    if (item === 'last') done.resolve()
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
  const atTurnEnd = createTurnEnd<string>(item => {
    turns.at(-1)?.push(item)
    if (item === 'outer') atTurnEnd('inner')
    else done.resolve()
  })

  atTurnEnd('outer')
  setImmediate(() => turns.push([]))
  await done.promise

  expect(turns).toEqual([['outer'], ['inner']])
})
