import { expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { isLate, Promised } from '#gateway/early.ts'
import { drain, frame, liveOf } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const FRAMES = [[frame('start'), frame('delta', 'Hi')], [frame('finish')]]
const gone = () => new GatewayError('upstream_error', 'no')

for (const [name, answer] of [
  ['comes', () => Promise.resolve(liveOf(FRAMES))],
  ['fails', () => Promise.reject(gone())],
] as const) {
  test(`an answer that ${name} in time is not late, and leaves no timer`, async () => {
    const clock = fakeClock()

    expect(await isLate(answer(), 1000, clock)).toBe(false)
    expect(clock.pending).toBe(0)
  })
}

test('an answer is late when the wait is over, whatever becomes of it', async () => {
  const clock = fakeClock()
  const { promise, reject } = Promise.withResolvers<never>()

  const late = isLate(promise, 1000, clock)
  clock.advance(1000)

  expect(await late).toBe(true)
  reject(gone())
  await settled()
})

test('what is read before it is there comes once it is, and what is alike passes by', async () => {
  const [clock, passed] = [fakeClock(), [] as unknown[]]
  const { promise, resolve } = Promise.withResolvers<ReturnType<typeof liveOf>>()
  const promised = new Promised(promise, createScope(clock))
  const pass = () => true
  promised.bypass(pass)

  const frames = drain(promised)
  const live = liveOf(FRAMES)
  resolve(Object.assign(live, { bypass: (to: unknown) => void passed.push(to) }))

  expect(await frames).toEqual(FRAMES.flat())
  expect(passed).toEqual([pass])
  promised.close()
  expect(live.closed()).toBe(1)
})

test('what is alike passes by whoever begins to read when the answer is there already', async () => {
  const passed: unknown[] = []
  const live = Object.assign(liveOf(FRAMES), { bypass: (to: unknown) => void passed.push(to) })
  const promised = new Promised(Promise.resolve(live), createScope(fakeClock()))
  await settled()
  const pass = () => true

  promised.bypass(pass)

  expect(passed).toEqual([pass])
})

test('who reads what never comes is told why', async () => {
  const promised = new Promised(Promise.reject(gone()), createScope(fakeClock()))

  expect(await promised.next().catch(thrown => thrown.code)).toBe('upstream_error')
})

test('whoever stops reading before the answer is there stops waiting for it', async () => {
  const scope = createScope(fakeClock())
  const { promise, resolve } = Promise.withResolvers<ReturnType<typeof liveOf>>()
  const promised = new Promised(promise, scope)

  promised.close()
  const live = liveOf(FRAMES)
  resolve(live)
  await settled()

  expect(scope.ended?.code).toBe('client_closed_request')
  expect(live.closed()).toBe(1)
})

test('an answer that failed leaves the scope of its request alone', async () => {
  const scope = createScope(fakeClock())
  const promised = new Promised(Promise.reject(gone()), scope)
  await settled()

  promised.close()

  expect(scope.ended).toBeNull()
})
