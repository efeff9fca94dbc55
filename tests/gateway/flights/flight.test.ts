import { describe, expect, test } from 'bun:test'
import type { Live } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import type { Frame } from '#core/frame.ts'
import { createScope, type Scope } from '#core/scope.ts'
import { startFlight } from '#gateway/flights/flight.ts'
import type { Whole } from '#gateway/flights/shared-log.ts'
import { drain, frame, liveOf } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { recordOf } from '#tests/support/records.ts'

const clock = fakeClock()
const left = new GatewayError('client_closed_request', 'gone')
const frames = [frame('delta', 'one'), frame('delta', 'two'), frame('finish')]

const sharing = { charactersMax: 100_000, onOver() {} }

function flight() {
  const live = liveOf(frames.map(each => [each]))
  const scope = createScope(clock)
  return { live, scope, flight: startFlight(Promise.resolve(live), scope, sharing) }
}

function join(work: Promise<Live>, scope: Scope, own: Scope): Promise<Live> {
  return startFlight(work, scope, sharing).join(own)
}

describe('a flight with one subscriber', () => {
  test('ends when its reader leaves, and closes what it had opened', async () => {
    const live = liveOf(frames.map(each => [each]))
    const scope = createScope(clock)
    const own = createScope(clock)
    await join(Promise.resolve(live), scope, own)

    own.cancel(left)
    await settled()

    expect(scope.ended?.code).toBe('client_closed_request')
    expect(live.closed()).toBeGreaterThan(0)
  })

  test('ends before its answer is there when its reader leaves then', async () => {
    const scope = createScope(clock)
    const own = createScope(clock)
    const joined = join(new Promise((_, reject) => scope.onEnd(reject)), scope, own)

    own.cancel(left)

    await expect(joined).rejects.toBe(left)
    expect(scope.ended).not.toBeNull()
  })

  test('hands a failure to its reader', async () => {
    const error = new GatewayError('all_targets_failed', 'none')

    await expect(join(Promise.reject(error), createScope(clock), createScope(clock))).rejects.toBe(error)
  })

  test.each([
    ['is whole', undefined],
    ['has broken off for its reader', new GatewayError('upstream_error', 'broken')],
  ])('lets go of its source once when the answer %s, though its reader is still there', async (_, end) => {
    const live = liveOf([frames], end)
    const time = fakeClock()
    const scope = createScope(time, { within: 60_000 })
    const own = createScope(clock)
    const joined = await join(Promise.resolve(live), scope, own)

    await drain(joined).catch(() => {})
    if (end !== undefined) joined.close()
    await settled()
    expect([live.closed(), time.pending]).toEqual([1, 0])
    joined.close()
    own.cancel(left)
    await settled()

    expect(live.closed()).toBe(1)
    if (end === undefined) expect(scope.ended).toBeNull()
  })

  test('ends for a reader whose own clock runs out while it waits', async () => {
    const time = fakeClock()
    const waiting = join(new Promise(() => {}), createScope(clock), createScope(time, { within: 10 }))

    time.advance(10)

    await expect(waiting).rejects.toMatchObject({ code: 'deadline_exceeded' })
  })
})

describe('a flight', () => {
  test('gives every subscriber every frame, from one source', async () => {
    const { flight: shared } = flight()
    const [one, two] = await Promise.all([shared.join(createScope(clock)), shared.join(createScope(clock))])

    const all = await Promise.all([drain(one), drain(two)])

    expect(all).toEqual([frames, frames])
  })

  test('lets go of its source when it has broken off, though its subscriber is still there', async () => {
    const live = liveOf([frames], new GatewayError('upstream_error', 'broken'))
    const time = fakeClock()
    const scope = createScope(time, { within: 60_000 })
    const joined = await join(Promise.resolve(live), scope, createScope(clock))

    await drain(joined).catch(() => {})

    expect([live.closed(), time.pending, scope.ended]).toEqual([1, 0, null])
  })

  test('goes on when one of two subscribers leaves', async () => {
    const { flight: shared, scope } = flight()
    const [one, two] = await Promise.all([shared.join(createScope(clock)), shared.join(createScope(clock))])
    await one.next()

    one.close()

    expect(scope.ended).toBeNull()
    expect(await drain(two)).toEqual(frames)
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

describe('a flight that is shared', () => {
  const big = (at: number) => frame('delta', `${at}`.padEnd(1000, 'x'))

  function shared(batches: readonly (readonly Frame[])[], charactersMax = 100_000, end?: Error) {
    const live = liveOf(batches, end)
    const told: (Whole | null)[] = []
    const scope = createScope(clock)
    const sharing = { charactersMax, onOver: (whole: Whole | null) => void told.push(whole) }
    return { live, told, scope, flight: startFlight(Promise.resolve(live), scope, sharing) }
  }

  test('gives who joins late everything from the beginning', async () => {
    const { flight: work, told } = shared(frames.map(each => [each]))
    const first = await work.join(createScope(clock))
    await first.next()
    await first.next()

    expect(work.open).toBe(true)
    const late = await work.join(createScope(clock))
    expect(await drain(late)).toEqual(frames)
    expect(await drain(first)).toEqual(frames.slice(2))
    expect(told.map(whole => whole?.frames)).toEqual([frames])
    expect(work.open).toBe(false)
  })

  describe('is paid as a whole by whoever pays', () => {
    const counted = { input: 7, cacheRead: 0, cacheWrite: 0, output: 3, reasoning: 0, estimated: false }
    const batches = [[big(0)], [big(1)], [{ ...frame('usage'), usage: counted }]]
    const unread = () => recordOf({ usage: null })

    async function twoReaders() {
      const { flight: work } = shared(batches)
      const [payer, other] = [unread(), unread()]
      const scopes = [createScope(clock), createScope(clock)] as const
      const slow = await work.join(scopes[0], payer)
      const fast = await work.join(scopes[1], other)
      return { payer, other, slow, fast, scopes }
    }

    test('who has read nothing when others have read all', async () => {
      const { payer, other, fast } = await twoReaders()

      await drain(fast)

      expect(payer.usage).toEqual(counted)
      expect(other.usage).toBeNull()
    })

    test('who leaves last, and others have read more', async () => {
      const { payer, other, slow, fast } = await twoReaders()
      await slow.next()
      await fast.next()
      await fast.next()
      fast.close()
      slow.close()

      expect([payer.saidChars, other.saidChars]).toEqual([2000, 0])
    })

    test('who hears that it broke off, and others have read more', async () => {
      const { flight: work } = shared([[big(0)], [big(1)]], 100_000, new GatewayError('upstream_error', 'broken'))
      const payer = unread()
      await work.join(createScope(clock), payer)
      const fast = await work.join(createScope(clock), unread())
      await drain(fast).catch(() => {})

      expect(payer.saidChars).toBe(2000)
    })
  })

  test('gives nothing more to whose time is over, though it is there: somebody else pays for it', async () => {
    const { flight: work } = shared(frames.map(each => [each]))
    const payer = recordOf({ usage: null })
    const own = createScope(clock, { within: 10 })
    const hasty = await work.join(own, payer)
    const patient = await work.join(createScope(clock), recordOf({ usage: null }))
    await hasty.next()
    await patient.next()
    await patient.next()
    clock.advance(10)

    expect(await hasty.next().catch((error: GatewayError) => error.code)).toBe('deadline_exceeded')
    expect(payer.passedOn).toBe(true)
    expect(await drain(patient)).toEqual(frames.slice(2))
  })

  test('hands one failure to all, also to who hears of it later', async () => {
    const broken = new GatewayError('upstream_error', 'broken')
    const { flight: work, told } = shared([[big(0)], [big(1)]], 100_000, broken)
    const [fast, slow] = await Promise.all([work.join(createScope(clock)), work.join(createScope(clock))])
    const ends = [await drain(fast).catch(error => error), await drain(slow).catch(error => error)]

    expect(ends).toEqual([broken, broken])
    expect(told).toEqual([null])
  })

  test('that nobody could answer is over for all at once, and charges nobody who waited', async () => {
    const error = new GatewayError('all_targets_failed', 'none')
    const told: (Whole | null)[] = []
    const pending = Promise.withResolvers<never>()
    const sharing = { charactersMax: 100_000, onOver: (whole: Whole | null) => void told.push(whole) }
    const work = startFlight(pending.promise, createScope(clock), sharing)
    const records = [recordOf({ usage: null }), recordOf({ usage: null })]
    const joined = records.map(record => work.join(createScope(clock), record).catch(thrown => thrown))
    expect(work.open).toBe(true)

    pending.reject(error)

    expect(await Promise.all(joined)).toEqual([error, error])
    expect([work.open, told]).toEqual([false, [null]])
    expect(records.map(({ passedOn, heirOf }) => [passedOn, heirOf])).toEqual([
      [false, null],
      [false, null],
    ])
  })

  test('loses a reader that is too far behind, and goes on for the others', async () => {
    const batches = Array.from({ length: 50 }, (_, at) => [big(at)])
    const { flight: work, told } = shared(batches, 10_000)
    const [fast, slow] = await Promise.all([work.join(createScope(clock)), work.join(createScope(clock))])
    await slow.next()

    expect(await drain(fast)).toHaveLength(50)
    expect(await slow.next().catch((error: GatewayError) => error.code)).toBe('stream_interrupted')
    expect(work.open).toBe(false)
    expect(told).toEqual([null])
  })

  test('takes nobody in who would miss its beginning', async () => {
    const { flight: work } = shared(
      Array.from({ length: 30 }, (_, at) => [big(at)]),
      10_000,
    )
    const only = await work.join(createScope(clock))
    for (let at = 0; at < 20; at++) await only.next()

    expect(work.open).toBe(false)
    expect(await drain(only)).toHaveLength(10)
  })

  test('cuts what arrived together into pieces, the same ones for everybody', async () => {
    const { flight: work } = shared([Array.from({ length: 100 }, (_, at) => big(at))], 1_000_000)
    const [one, two] = await Promise.all([work.join(createScope(clock)), work.join(createScope(clock))])
    const [a, b] = [await one.next(), await two.next()]

    expect(a.length).toBeLessThan(100)
    expect(a).toBe(b)
    expect([...a, ...(await drain(one))]).toHaveLength(100)
  })
})

test('readers of an answer that is there already let others have their turns', async () => {
  const pieces = Array.from({ length: 100 }, () => [frame('delta', 'more')])
  const shared = startFlight(Promise.resolve(liveOf(pieces)), createScope(clock), sharing)
  const readers = await Promise.all(Array.from({ length: 10 }, () => shared.join(createScope(clock))))
  const [first, ...others] = readers
  if (first === undefined) throw new Error('nobody reads')
  await drain(first)
  let turns = 0
  let over = false
  const turn = () => {
    turns++
    if (!over) setImmediate(turn)
  }

  setImmediate(turn)
  const read = await Promise.all(others.map(drain))
  over = true

  expect(read.map(({ length }) => length)).toEqual(others.map(() => pieces.length))
  expect(turns).toBeGreaterThan(5)
})
