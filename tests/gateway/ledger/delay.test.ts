import { expect, test } from 'bun:test'
import type { Fact } from '#core/journal.ts'
import { createDelay } from '#gateway/ledger/delay.ts'
import { fakeClock } from '#tests/support/clock.ts'

function setup() {
  const clock = fakeClock()
  const told: string[] = []
  const note = (fact: Fact) => void told.push(fact.type === 'rows-delayed' ? fact.reason : fact.type)
  return { clock, told, delay: createDelay(clock, { note }) }
}

test('a store that fails now and then is told of once a minute, and that it takes rows again as often', () => {
  const { clock, told, delay } = setup()

  for (let second = 0; second < 120; second++) {
    delay.failed('busy', 1)
    delay.over()
    clock.advance(1000)
  }

  expect(told).toEqual(['busy', 'rows-taken-again', 'busy', 'rows-taken-again'])
})

test('another reason is told at once', () => {
  const { told, delay } = setup()

  for (const reason of ['busy', 'busy', 'away']) delay.failed(reason, 1)
  delay.over()

  expect(told).toEqual(['busy', 'away', 'rows-taken-again'])
})

test('an outage that goes on is told of, however soon it followed another one', () => {
  const { clock, told, delay } = setup()
  delay.failed('away', 1)
  delay.over()

  for (let second = 0; second <= 60; second++) {
    delay.failed('away', 1)
    clock.advance(1000)
  }
  delay.over()

  expect(told).toEqual(['away', 'rows-taken-again', 'away', 'rows-taken-again'])
})
