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
