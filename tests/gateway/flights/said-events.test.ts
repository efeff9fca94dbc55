import { describe, expect, test } from 'bun:test'
import type { Live } from '#core/attempt.ts'
import type { Bypass, Said } from '#core/bypass.ts'
import { contentText } from '#core/frame.ts'
import { createScope } from '#core/scope.ts'
import { startFlight } from '#gateway/flights/flight.ts'
import type { Whole } from '#gateway/flights/shared-log.ts'
import { writeSse } from '#lib/sse.ts'
import { drain, frame, liveOf } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { recordOf } from '#tests/support/records.ts'

const clock = fakeClock()

describe('a flight of which events go past the frames', () => {
  const event = (text: string) => writeSse(JSON.stringify({ choices: [{ index: 0, delta: { content: text } }] }))

  function passing(charactersMax?: number) {
    const { promise: end, resolve: finish } = Promise.withResolvers<void>()
    const source = liveOf([[frame('delta', 'one')], [frame('finish')]])
    let to: Bypass = () => false
    const registered: boolean[] = []
    let taken = 0
    const live: Live = {
      ...source,
      next: async () => {
        if (taken++ === 1) await end
        return source.next()
      },
      bypass: given => {
        to = given ?? (() => false)
        registered.push(given !== null)
      },
    }
    const told: (Whole | null)[] = []
    const onOver = (whole: Whole | null) => void told.push(whole)
    const now = () => 1
    const work = startFlight(Promise.resolve(live), createScope(clock), {
      ...{ charactersMax: charactersMax ?? 100_000, now, onOver },
    })
    const sayAs = (who: Partial<Said>, ...texts: readonly string[]) => {
      const written = texts.map(event).join('')
      return to({ written, events: texts.length, choice: 0, field: 'content', text: texts.join(''), at: 7, ...who })
    }
    const say = (...texts: readonly string[]) => sayAs({}, ...texts)
    return { work, told, say, sayAs, finish, registered }
  }

  async function readerOf({ work }: Pick<ReturnType<typeof passing>, 'work'>) {
    const passed: string[] = []
    const record = recordOf({ usage: null })
    const live = await work.join(createScope(clock), record)
    live.bypass?.(({ written }) => passed.push(written) > 0)
    return { live, passed, record }
  }

  test('gives its only reader their bytes, and keeps them, with their moments, for who asks later', async () => {
    const flight = passing()
    const { live, passed, record } = await readerOf(flight)
    await live.next()
    const rest = drain(live)
    await settled()
    expect([flight.say(' two'), flight.say(' thrée', ' four')]).toEqual([true, true])

    const { work, told, finish } = flight
    const late = await work.join(createScope(clock), recordOf())
    finish()
    const all = await drain(late)

    expect(passed).toEqual([event(' two'), event(' thrée') + event(' four')])
    expect(await rest).toEqual([frame('finish')])
    expect(all.map(each => each.kind !== 'error' && each.text)).toEqual([
      frame('delta', 'one').text,
      event(' two'),
      event(' thrée'),
      event(' four'),
      frame('finish').text,
    ])
    expect(all.map(each => (each.kind === 'error' ? '' : contentText(each.chunk))).join('')).toBe('one two thrée four')
    expect(told).toMatchObject([{ frames: all, moments: [1, 7, 7, 7, 1] }])
    expect(record.saidChars).toBe('one two thrée four'.length)
  })

  test('lets none past one who does not wait or does not take them', async () => {
    const flight = passing()
    const { live, passed } = await readerOf(flight)
    expect(flight.say(' early')).toBe(false)
    await live.next()
    const rest = drain(live)
    await settled()

    expect(flight.say(' two')).toBe(true)
    live.bypass?.(() => false)
    expect(flight.say(' three')).toBe(false)

    flight.finish()
    expect([passed, await rest]).toEqual([[event(' two')], [frame('finish')]])
  })

  test('lets none past any more once somebody has joined, and has none looked for', async () => {
    const flight = passing()
    const { live, passed } = await readerOf(flight)
    await live.next()
    const rest = drain(live)
    await settled()

    const other = await readerOf(flight)
    expect([flight.say(' two'), flight.registered]).toEqual([false, [true, false]])
    other.live.close()
    live.bypass?.(() => true)
    expect([flight.say(' two'), flight.registered]).toEqual([false, [true, false]])

    flight.finish()
    expect([passed, other.passed, await rest]).toEqual([[], [], [frame('finish')]])
  })

  test('are told with the whole as a few texts, and with the moment of each of them', async () => {
    const flight = passing()
    const { live, record } = await readerOf(flight)
    await live.next()
    const rest = drain(live)
    await settled()
    flight.say(' two')
    flight.say(' three', ' four')
    flight.finish()
    await rest

    const [whole] = flight.told
    const said = { kind: 'delta', text: [' two', ' three', ' four'].map(event).join('') }
    expect(whole?.frames).toMatchObject([frame('delta', 'one'), said, frame('finish')])
    expect(whole?.moments).toEqual([1, 7, 7, 7, 1])
    expect(record.saidChars).toBe(0)
  })

  test('go on apart where another choice speaks', async () => {
    const flight = passing()
    const { live } = await readerOf(flight)
    await live.next()
    const rest = drain(live)
    await settled()
    flight.say(' two')
    flight.sayAs({ choice: 1 }, ' deux')
    flight.sayAs({ choice: 1, field: 'refusal' }, ' no')
    flight.finish()
    await rest

    const chunks = flight.told[0]?.frames.map(each => each.kind !== 'error' && each.chunk.choices?.[0])
    expect(chunks?.slice(1, 4)).toEqual([
      { index: 0, delta: { content: ' two' } },
      { index: 1, delta: { content: ' deux' } },
      { index: 1, delta: { refusal: ' no' } },
    ])
  })

  test('are bounded as all that is kept', async () => {
    const flight = passing(1000)
    const { live } = await readerOf(flight)
    await live.next()
    const rest = drain(live)
    await settled()
    flight.say(' two')
    expect([flight.work.open, flight.say('x'.repeat(33 * 1024))]).toEqual([true, false])
    flight.say('x'.repeat(2000))

    expect(flight.work.open).toBe(false)
    flight.finish()
    await rest
    expect(flight.told).toEqual([null])
  })
})
