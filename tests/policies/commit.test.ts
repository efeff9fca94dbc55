import { describe, expect, test } from 'bun:test'
import type { Attempt, Live } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import type { DataFrame } from '#core/frame.ts'
import { createScope } from '#core/scope.ts'
import type { JsonObject } from '#lib/json.ts'
import { commitGate } from '#policies/commit.ts'
import { call, drain, frame, liveOf, planFor, slotFor } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

function attemptWith(
  live: Promise<Live>,
  more: { readonly stream?: boolean; readonly wantsContent?: boolean; readonly body?: JsonObject } = {},
) {
  const clock = fakeClock()
  const scope = createScope(clock)
  const [candidate] = planFor('a').candidates
  if (candidate === undefined) throw new Error('no candidate')
  const next: Attempt = () => live
  const run = commitGate(clock)(next)({
    call: call({ stream: more.stream ?? true, body: more.body ?? {} }),
    slot: slotFor(candidate),
    scope,
    wantsContent: more.wantsContent,
  })
  return { clock, scope, run }
}

describe('the commit gate', () => {
  test('resolves at the first content and gives everything from the start', async () => {
    const frames = [frame('start'), frame('delta', 'Hi'), frame('finish')]
    const { run } = attemptWith(Promise.resolve(liveOf(frames.map(each => [each]))))

    expect(await drain(await run)).toEqual(frames)
  })

  test('a finish without content is an answer', async () => {
    const { run } = attemptWith(Promise.resolve(liveOf([[frame('start')], [frame('finish')]])))

    expect((await drain(await run)).length).toBe(2)
  })

  test('an error as the first event fails the attempt and closes it', async () => {
    const error = new GatewayError('upstream_error', 'overloaded')
    const live = liveOf([[frame('start')], [{ kind: 'error', error }]])
    const { run } = attemptWith(Promise.resolve(live))

    await expect(run).rejects.toBe(error)
    expect(live.closed()).toBe(1)
  })

  test('an error behind the first content belongs to the stream', async () => {
    const error = new GatewayError('upstream_error', 'overloaded')
    const { run } = attemptWith(
      Promise.resolve(liveOf([[frame('start'), frame('delta', 'Hi'), { kind: 'error', error }]])),
    )

    expect((await drain(await run)).map(each => each.kind)).toEqual(['start', 'delta', 'error'])
  })

  test('a stream that ends without content is no answer', async () => {
    const { run } = attemptWith(Promise.resolve(liveOf([[frame('start')]])))

    await expect(run).rejects.toMatchObject({ code: 'upstream_invalid_response' })
  })

  test.each([
    { what: '65 events', held: Array.from({ length: 65 }, () => frame('start')) },
    { what: 'more than 256 kB', held: [{ ...frame('start'), text: 'x'.repeat(256 * 1024 + 1) }] },
  ])('$what without content are too many, whatever comes behind them', async ({ held }) => {
    const live = liveOf([...held.map(each => [each]), [frame('delta', 'Hi')]])
    const { run } = attemptWith(Promise.resolve(live))

    await expect(run).rejects.toMatchObject({ code: 'upstream_invalid_response' })
    expect(live.closed()).toBe(1)
  })

  test('64 events and 256 kB before the first content are not', async () => {
    const held = Array.from({ length: 64 }, () => ({ ...frame('start'), text: 'x'.repeat(4096) }))
    const { run } = attemptWith(Promise.resolve(liveOf([...held.map(each => [each]), [frame('delta', 'Hi')]])))

    expect(await drain(await run)).toHaveLength(65)
  })

  test('a first token that does not come ends the attempt by its own clock', async () => {
    const { clock, scope, run } = attemptWith(new Promise((_, reject) => setImmediate(() => scopeOf().onEnd(reject))))
    const scopeOf = () => scope
    await settled()

    clock.advance(5000)

    await expect(run).rejects.toMatchObject({ code: 'upstream_timeout' })
  })

  test('the clock stops with the first content', async () => {
    const { clock, scope, run } = attemptWith(Promise.resolve(liveOf([[frame('delta', 'Hi')]])))
    await run

    clock.advance(60_000)

    expect(scope.ended).toBeNull()
    expect(clock.pending).toBe(0)
  })

  describe('with an answer that a content filter ends', () => {
    const finish = frame('finish')
    const filtered = (content: string): DataFrame => {
      const choices = [{ index: 0, message: { content }, finish_reason: 'content_filter' }]
      return { ...finish, chunk: { choices } }
    }

    test.each([true, false])('refuses one without content where content is wanted (stream: %p)', async stream => {
      const live = liveOf([[filtered('')]])
      const { run, clock } = attemptWith(Promise.resolve(live), { stream, wantsContent: true })

      await expect(run).rejects.toMatchObject({ code: 'content_policy_violation' })
      expect([live.closed(), clock.pending]).toEqual([1, 0])
    })

    test.each([
      { why: 'nobody wants another', frames: [filtered('')] },
      { why: 'it has content', frames: [filtered('Hi')], wantsContent: true },
      { why: 'content came before', frames: [frame('delta', 'Hi'), filtered('')], stream: true, wantsContent: true },
      { why: 'another choice may go on', frames: [filtered('')], stream: true, wantsContent: true, body: { n: 2 } },
      {
        why: 'another prompt may be answered',
        frames: [filtered('')],
        stream: true,
        wantsContent: true,
        body: { prompt: ['a', 'b'] },
      },
      { why: 'it has simply ended', frames: [finish], wantsContent: true },
    ])('passes the answer on when $why', async ({ frames, stream, ...more }) => {
      for (const streamed of stream === undefined ? [true, false] : [stream]) {
        const { run } = attemptWith(Promise.resolve(liveOf([frames])), { ...more, stream: streamed })

        expect(await drain(await run)).toEqual([...frames])
      }
    })
  })

  test('a plain answer passes as it is', async () => {
    const live = liveOf([[frame('finish')]])
    const { run } = attemptWith(Promise.resolve(live), { stream: false })

    expect(await run).toBe(live)
  })
})
