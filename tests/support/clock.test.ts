import { expect, test } from 'bun:test'
import { fakeClock, settled } from '#tests/support/clock.ts'

test('runs due timers in order, those set up meanwhile too', () => {
  const clock = fakeClock()
  const ran: string[] = []
  const run = (name: string) => () => ran.push(`${name}@${clock.now()}`)

  clock.after(20, run('late'))
  clock.after(10, () => {
    run('early')()
    clock.after(5, run('nested'))
  })
  clock.after(10, run('second'))
  clock.advance(19)
  const before = [...ran]
  clock.advance(1)

  expect(before).toEqual(['early@10', 'second@10', 'nested@15'])
  expect(ran).toEqual([...before, 'late@20'])
  expect(clock.pending).toBe(0)
})

test('does not run what was cancelled', () => {
  const clock = fakeClock()
  let ran = 0

  const cancel = clock.after(1, () => ran++)
  cancel()
  clock.advance(10)

  expect(ran).toBe(0)
})

test('moves both times, and the wall clock alone when it jumps', () => {
  const clock = fakeClock(1000)
  let ran = 0
  clock.after(3_600_000, () => ran++)

  clock.advance(5)
  clock.jump(3_600_000)

  expect(clock.now()).toBe(5)
  expect(clock.time()).toBe(3_601_005)
  expect(ran).toBe(0)
})

test('settles chains of promises and immediates', async () => {
  let done = false
  const work = async () => {
    await new Promise(resolve => setImmediate(resolve))
    for (let n = 0; n < 50; n++) await Promise.resolve()
    done = true
  }

  void work()
  await settled()

  expect(done).toBe(true)
})
