import { expect, test } from 'bun:test'
import { createWheel } from '#lib/wheel.ts'

test('runs what is due, in the order of the deadlines, and nothing twice', async () => {
  const ran: string[] = []
  const after = createWheel()

  await new Promise<void>(resolve => {
    after(40, () => {
      ran.push('later')
      resolve()
    })
    after(10, () => ran.push('soon'))
  })

  expect(ran).toEqual(['soon', 'later'])
})

test('never runs what was cancelled', async () => {
  const ran: string[] = []
  const after = createWheel()

  const cancel = after(10, () => ran.push('cancelled'))
  cancel()
  await new Promise<void>(resolve => after(30, resolve))

  expect(ran).toEqual([])
})

test('runs no deadline early', async () => {
  const after = createWheel()
  const startedAt = performance.now()

  await new Promise<void>(resolve => after(25, resolve))

  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(25)
})

test('catches up after the loop was blocked for longer than many ticks', async () => {
  const ran: number[] = []
  const after = createWheel()
  const done = Promise.all(
    [10, 30, 50].map(ms => new Promise<void>(resolve => after(ms, () => resolve(void ran.push(ms))))),
  )

  const until = performance.now() + 120
  while (performance.now() < until);
  await done

  expect(ran).toEqual([10, 30, 50])
})

test('a timer that is set up while another runs still runs', async () => {
  const after = createWheel()

  const value = await new Promise<string>(resolve => after(5, () => after(5, () => resolve('second'))))

  expect(value).toBe('second')
})
