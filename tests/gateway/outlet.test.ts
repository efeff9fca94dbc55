import { describe, expect, test } from 'bun:test'
import type { GatewayError } from '#core/errors.ts'
import type { Writer } from '#core/writing.ts'
import { createOutlet } from '#gateway/outlet.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const BEAT_MS = 15_000
const STALLED_MS = 60_000
const PING = ': ping\n\n'

/** An outlet to a client that takes everything, or nothing until `take` is called. */
function outletTo({ full = false, beatMs = BEAT_MS } = {}) {
  const clock = fakeClock()
  const written: (string | Uint8Array)[] = []
  const reasons: GatewayError[] = []
  const client = { full, take: () => {} }
  const outlet = createOutlet(clock, beatMs, error => {
    reasons.push(error)
    outlet.close()
  })
  const writer: Writer = {
    write(piece) {
      written.push(piece)
      if (!client.full) return piece.length
      return new Promise(resolve => {
        client.take = () => resolve(piece.length)
      })
    },
    flush: () => 0,
    end: () => written.push('the end'),
  }
  return { clock, written, reasons, client, writer, outlet }
}

describe('an outlet', () => {
  test('has room while the client takes what it gets', () => {
    const { outlet, writer, written, clock } = outletTo()
    const before = outlet.ready
    outlet.open(writer)

    outlet.put('one', clock.now())
    outlet.put('two', clock.now())

    expect([before, outlet.ready, outlet.room()]).toEqual([false, true, undefined])
    expect(written).toEqual(['one', 'two'])
  })

  test('has none until the client has taken what it got', async () => {
    const { outlet, writer, client, clock } = outletTo({ full: true })
    outlet.open(writer)
    outlet.put('one', clock.now())
    let went = false
    const waiting = outlet.room()?.then(() => {
      went = true
    })
    await settled()
    const early = [outlet.ready, went]

    client.take()
    await waiting

    expect(early).toEqual([false, false])
    expect([outlet.ready, went]).toEqual([true, true])
  })

  test('beats after each silence, counted from what was put last', () => {
    const { outlet, writer, written, clock } = outletTo()
    outlet.open(writer)

    clock.advance(BEAT_MS - 1)
    outlet.put('late', clock.now())
    clock.advance(BEAT_MS - 1)
    const before = [...written]
    clock.advance(1)
    clock.advance(BEAT_MS)

    expect(before).toEqual(['late'])
    expect(written).toEqual(['late', PING, PING])
  })

  test('never beats where none are wanted', () => {
    const { outlet, writer, written, clock } = outletTo({ beatMs: 0 })
    outlet.open(writer)

    for (let minute = 0; minute < 60; minute++) clock.advance(60_000)

    expect(written).toEqual([])
  })

  test('gives up on a client that takes nothing for a minute, without a beat meanwhile', async () => {
    const { outlet, writer, written, reasons, clock } = outletTo({ full: true })
    outlet.open(writer)
    outlet.put('one', clock.now())
    const waiting = outlet.room()

    for (let ms = 0; ms < STALLED_MS; ms += BEAT_MS) clock.advance(BEAT_MS)
    await waiting

    expect(written).toEqual(['one'])
    expect(reasons.map(({ code }) => code)).toEqual(['client_closed_request'])
    expect(outlet.stalled).toBe(reasons[0] ?? null)
    expect(clock.pending).toBe(0)
  })

  test('has patience again with a client that has taken something', async () => {
    const { outlet, writer, reasons, client, clock } = outletTo({ full: true })
    outlet.open(writer)
    outlet.put('one', clock.now())
    clock.advance(STALLED_MS - 1)
    client.take()
    await settled()
    outlet.put('two', clock.now())

    clock.advance(STALLED_MS - 1)

    expect(reasons).toEqual([])
    outlet.close()
  })

  test('ends behind its last piece, and behind what is done when it is over', () => {
    const { outlet, writer, written, clock } = outletTo()
    outlet.open(writer)

    outlet.end('last', () => {
      written.push('over')
      outlet.close()
    })
    outlet.put('too late', clock.now())

    expect(written).toEqual(['last', 'over', 'the end'])
    expect(clock.pending).toBe(0)
  })

  test('that is closed writes nothing more, lets go who waits, and leaves no timer', async () => {
    const { outlet, writer, written, clock } = outletTo({ full: true })
    outlet.open(writer)
    outlet.put('one', clock.now())
    const waiting = outlet.room()

    outlet.close()
    await waiting
    outlet.put('two', clock.now())

    expect(written).toEqual(['one'])
    expect([outlet.ready, clock.pending]).toEqual([false, 0])
  })
})
