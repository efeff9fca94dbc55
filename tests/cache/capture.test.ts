import { describe, expect, test } from 'bun:test'
import { capture } from '#cache/capture.ts'
import type { Choice, DataFrame } from '#core/frame.ts'
import { writeSse } from '#lib/sse.ts'
import { call, frame } from '#tests/support/calls.ts'

/** A frame that ends these choices, each for its reason; one that has none goes on. */
function ending(...reasons: readonly (string | null)[]): DataFrame {
  const choices: readonly Choice[] = reasons.map((finish_reason, index) => ({ index, text: 'x', finish_reason }))
  const chunk = { id: 'cmpl-1', created: 1_700_000_000, choices }
  return { kind: 'finish', chunk, text: writeSse(JSON.stringify(chunk)), usage: null }
}

describe('an answer is kept', () => {
  test.each([
    { why: 'when its only choice has ended', reasons: ['stop'], body: {} },
    { why: 'when all choices that were asked for have ended', reasons: ['stop', 'tool_calls'], body: { n: 2 } },
    { why: 'when each prompt has its choice', reasons: ['stop', 'stop'], body: { prompt: ['a', 'b'] } },
    { why: 'when the one prompt is a list of tokens', reasons: ['stop'], body: { prompt: [1, 2, 3] } },
  ])('$why', ({ reasons, body }) => {
    for (const stream of [true, false]) {
      expect(capture([ending(...reasons)], call({ stream, body }))).toMatchObject({
        id: 'cmpl-1',
        created: 1_700_000_000,
      })
    }
  })
})

describe('an answer is not kept', () => {
  test.each([
    { why: 'when a choice is missing', reasons: ['stop'], body: { n: 2 } },
    { why: 'when a prompt was not answered', reasons: ['stop'], body: { prompt: ['a', 'b'] } },
    {
      why: 'when a choice of a prompt is missing',
      reasons: ['stop', 'stop', 'stop'],
      body: { prompt: ['a', 'b'], n: 2 },
    },
    { why: 'when the first choice was cut off', reasons: ['length', 'stop'], body: { n: 2 } },
    { why: 'when another choice was cut off', reasons: ['stop', 'length'], body: { n: 2 } },
    { why: 'when a choice has no end', reasons: ['stop', null], body: {} },
    { why: 'when it has no choices', reasons: [], body: {} },
  ])('$why', ({ reasons, body }) => {
    for (const stream of [true, false]) expect(capture([ending(...reasons)], call({ stream, body }))).toBeNull()
  })

  test('when there is none, or an error in it', () => {
    const error = { kind: 'error', error: new Error('no') } as never
    for (const stream of [true, false]) {
      expect(capture([], call({ stream }))).toBeNull()
      expect(capture([error, ending('stop')], call({ stream }))).toBeNull()
    }
    expect(capture([ending('stop'), error], call())).toBeNull()
  })
})

test('the end of a choice counts wherever it stands in a stream', () => {
  const kept = capture([frame('start'), ending(null, null), ending(null, 'stop'), ending('stop'), ending(null, null)], {
    stream: true,
    body: { n: 2 },
    wantsUsage: false,
  })

  expect(kept?.characters).toBe(7)
})
