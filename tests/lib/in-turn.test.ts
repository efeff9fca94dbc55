import { expect, test } from 'bun:test'
import { createInTurn } from '#lib/in-turn.ts'

test('one thing begins only when the one before is over', async () => {
  const inTurn = createInTurn()
  const first = Promise.withResolvers<string>()
  const begun: string[] = []
  const results = [
    inTurn(() => {
      begun.push('first')
      return first.promise
    }),
    inTurn(async () => {
      begun.push('second')
      return 'two'
    }),
  ]
  await new Promise(setImmediate)
  const before = [...begun]
  first.resolve('one')

  expect(await Promise.all(results)).toEqual(['one', 'two'])
  expect(before).toEqual(['first'])
  expect(begun).toEqual(['first', 'second'])
})

test('what fails is told to who asked for it, and holds up nobody', async () => {
  const inTurn = createInTurn()
  const failing = inTurn(() => Promise.reject(new Error('broken'))).catch((thrown: unknown) => String(thrown))

  expect([await failing, await inTurn(async () => 'well')]).toEqual(['Error: broken', 'well'])
})

test('where several may be done at once, the next begins when one of them is over', async () => {
  const inTurn = createInTurn(2)
  const things = Array.from({ length: 4 }, () => Promise.withResolvers<void>())
  const begun: number[] = []
  const all = things.map(({ promise }, index) =>
    inTurn(() => {
      begun.push(index)
      return promise
    }),
  )
  await new Promise(setImmediate)
  const atFirst = [...begun]
  things[1]?.resolve()
  await all[1]
  await new Promise(setImmediate)

  expect([atFirst, begun]).toEqual([
    [0, 1],
    [0, 1, 2],
  ])
  for (const { resolve } of things) resolve()
  await Promise.all(all)
})
