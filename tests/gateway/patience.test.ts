import { describe, expect, test } from 'bun:test'
import type { Live } from '#core/attempt.ts'
import type { Bypass } from '#core/bypass.ts'
import type { Frame } from '#core/frame.ts'
import { createScope } from '#core/scope.ts'
import { patiently } from '#gateway/patience.ts'
import { frame, liveOf } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const FRAMES = [frame('delta', 'one')]

/** A stream whose next piece comes when the test says so. */
function halting() {
  let piece = Promise.withResolvers<readonly Frame[]>()
  let to: Bypass | null = null
  const live: Live = {
    ...liveOf([]),
    next: () => piece.promise,
    bypass: taker => {
      to = taker
    },
  }
  return {
    live,
    give() {
      piece.resolve(FRAMES)
      piece = Promise.withResolvers()
    },
    pass: (at: number) => to?.({ written: '', events: 1, choice: 0, field: 'content', text: 'x', at }),
  }
}

function waiting(
  wishes: { readonly firstTokenMs: number | null; readonly idleMs: number | null },
  live: Promise<Live>,
) {
  const clock = fakeClock()
  const own = createScope(clock)
  return { clock, own, answer: patiently(live, wishes, { clock, own }) }
}

describe('the first content', () => {
  test('is waited for until its time is over', async () => {
    const { clock, own, answer } = waiting({ firstTokenMs: 100, idleMs: null }, new Promise(() => {}))

    clock.advance(99)
    expect(own.ended).toBeNull()
    clock.advance(1)

    await expect(answer).rejects.toMatchObject({ code: 'deadline_exceeded', status: 504 })
    expect(own.ended?.code).toBe('deadline_exceeded')
  })

  test('stops its clock, whether it is content or a failure', async () => {
    const good = waiting({ firstTokenMs: 100, idleMs: null }, Promise.resolve(liveOf([FRAMES])))
    const bad = waiting({ firstTokenMs: 100, idleMs: null }, Promise.reject(new Error('refused')))

    await good.answer
    await expect(bad.answer).rejects.toThrow('refused')

    expect([good.clock.pending, bad.clock.pending]).toEqual([0, 0])
  })
})

describe('a pause', () => {
  test('between two pieces ends the subscription once it is too long', async () => {
    const { live, give } = halting()
    const { clock, answer } = waiting({ firstTokenMs: null, idleMs: 100 }, Promise.resolve(live))
    const stream = await answer
    const first = stream.next()
    clock.advance(99)
    give()
    expect(await first).toEqual(FRAMES)
    // The reader's own time is not the server's.
    clock.advance(1000)

    const second = stream.next()
    clock.advance(100)

    await expect(second).rejects.toMatchObject({ code: 'deadline_exceeded' })
  })

  test('is none while pieces pass by as bytes', async () => {
    const { live, pass } = halting()
    const { clock, own, answer } = waiting({ firstTokenMs: null, idleMs: 100 }, Promise.resolve(live))
    const stream = await answer
    const passed: string[] = []
    stream.bypass?.(({ text }) => passed.push(text) > 0)
    const next = stream.next()

    for (let n = 0; n < 5; n++) {
      clock.advance(90)
      pass(clock.now())
    }
    expect([own.ended, passed.length]).toEqual([null, 5])
    clock.advance(100)

    await expect(next).rejects.toMatchObject({ code: 'deadline_exceeded' })
  })

  test('is not waited for behind the end', async () => {
    const { live } = halting()
    const { clock, own, answer } = waiting({ firstTokenMs: null, idleMs: 100 }, Promise.resolve(live))
    const stream = await answer
    stream.next().catch(() => {})
    stream.close()

    clock.advance(1000)
    await settled()

    expect([own.ended, clock.pending]).toEqual([null, 0])
  })
})
