import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { startFlight } from '#gateway/flight.ts'
import { drain, frame, liveOf } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const clock = fakeClock()
const left = new GatewayError('client_closed_request', 'gone')
const frames = [frame('delta', 'one'), frame('delta', 'two'), frame('finish')]

function flight() {
  const live = liveOf(frames.map(each => [each]))
  const scope = createScope(clock)
  return { live, scope, flight: startFlight(async () => live, scope) }
}

describe('a flight', () => {
  test('gives every subscriber every frame, from one source', async () => {
    const { flight: shared } = flight()
    const [one, two] = await Promise.all([shared.join(createScope(clock)), shared.join(createScope(clock))])

    const all = await Promise.all([drain(one), drain(two)])

    expect(all).toEqual([frames, frames])
  })

  test('goes on when one of two subscribers leaves', async () => {
    const { flight: shared, scope } = flight()
    const [one, two] = await Promise.all([shared.join(createScope(clock)), shared.join(createScope(clock))])
    await one.next()

    one.close()

    expect(scope.ended).toBeNull()
    expect(await drain(two)).toEqual(frames)
  })

  test('ends with its last subscriber, and closes what it had opened', async () => {
    const { flight: shared, scope, live } = flight()
    const own = createScope(clock)
    await shared.join(own)

    own.cancel(left)
    await settled()

    expect(scope.ended?.code).toBe('client_closed_request')
    expect(live.closed()).toBeGreaterThan(0)
  })

  test('ends before its answer is there when the subscriber leaves then', async () => {
    const scope = createScope(clock)
    const waiting = startFlight(own => new Promise((_, reject) => own.onEnd(reject)), scope)
    const own = createScope(clock)
    const joined = waiting.join(own)

    own.cancel(left)

    await expect(joined).rejects.toBe(left)
    expect(scope.ended).not.toBeNull()
  })

  test('hands a failure to its subscriber', async () => {
    const error = new GatewayError('all_targets_failed', 'none')
    const failing = startFlight(() => Promise.reject(error), createScope(clock))

    await expect(failing.join(createScope(clock))).rejects.toBe(error)
  })

  test('a subscriber whose own clock runs out leaves, the flight goes on for the others', async () => {
    const own = fakeClock()
    const { flight: shared, scope } = flight()
    const patient = await shared.join(createScope(own))
    const hasty = await shared.join(createScope(own, { within: 10 }))

    own.advance(10)

    expect(await hasty.next().catch((error: GatewayError) => error.code)).toBe('deadline_exceeded')
    expect(scope.ended).toBeNull()
    expect(await drain(patient)).toEqual(frames)
  })
})
