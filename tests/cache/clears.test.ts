import { expect, test } from 'bun:test'
import { Clears } from '#cache/clears.ts'

test('an answer is meant by what came after it was asked for, however often that was said', () => {
  const clears = new Clears()
  const answer = { model: 'chat', tenant: 'shop', key: 'web' }
  clears.note({ model: 'chat' }, 10)
  clears.note({ model: 'chat' }, 20)
  clears.note({ tenant: 'bank' }, 30)

  expect([15, 20, 21].map(askedAt => clears.mean(answer, askedAt))).toEqual([true, true, false])
})

test('more clearings than are remembered mean everything', () => {
  const clears = new Clears()
  for (let at = 1; at <= 101; at++) clears.note({ key: `k${at}` }, at)

  const answer = { model: 'chat', tenant: 'shop', key: 'web' }
  expect([101, 102].map(askedAt => clears.mean(answer, askedAt))).toEqual([true, false])
})
