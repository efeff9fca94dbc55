import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Call } from '#core/call.ts'
import type { JsonObject, JsonValue } from '#lib/json.ts'
import { gemini } from '#providers/gemini/index.ts'
import { createGeminiStream } from '#providers/gemini/stream.ts'
import type { Provider } from '#providers/provider.ts'
import { contentOf, dataFrames, replay, resultOf, textsOf } from '#tests/providers/replay.ts'
import { call } from '#tests/support/calls.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

const still: Provider = { ...gemini, stream: asked => createGeminiStream(asked, 1_800_000_000_000) }
const head = { modelVersion: 'gemini-x', responseId: 'r' }
const usage = { promptTokenCount: 10, candidatesTokenCount: 4, totalTokenCount: 14 }

const event = (value: JsonObject) => `data: ${JSON.stringify({ ...head, ...value })}\r\n\r\n`
const says = (parts: readonly JsonObject[], more: JsonObject = {}, rest: JsonObject = { usageMetadata: usage }) =>
  event({ candidates: [{ index: 0, content: { role: 'model', parts }, ...more }], ...rest })
const text = (content: string, more: JsonObject = {}) => says([{ text: content }], more)
const calls = (name: string, more: JsonObject = {}) => ({ functionCall: { name, args: { a: 1 }, ...more } })

function run(events: readonly string[], body: JsonObject = {}) {
  return replay(still, call({ body: { model: 'm', messages: [], ...body } }), events.join(''))
}

function choicesOf(events: readonly string[], body?: JsonObject): JsonObject[] {
  return textsOf(run(events, body).frames).flatMap(each => JSON.parse(each.slice(6)).choices)
}

function reasonsOf(events: readonly string[]): JsonValue[] {
  return choicesOf(events).flatMap(choice => choice.finish_reason ?? [])
}

function errorOf(events: readonly string[]): string | undefined {
  const last = run(events).frames.at(-1)
  return last?.kind === 'error' ? last.error.code : undefined
}

test('a chat becomes chunks as OpenAI sends them', () => {
  const events = [text('Hel'), text('lo', { finishReason: 'STOP' })]

  const { frames } = run(events)

  expect(frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'delta', 'finish', 'usage'])
  expect(choicesOf(events)).toEqual([
    { index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null },
    { index: 0, delta: { content: 'Hel' }, logprobs: null, finish_reason: null },
    { index: 0, delta: { content: 'lo' }, logprobs: null, finish_reason: null },
    { index: 0, delta: {}, finish_reason: 'stop' },
  ])
  expect(dataFrames(frames)[0]?.chunk).toMatchObject({
    id: 'r',
    object: 'chat.completion.chunk',
    created: 1_800_000_000,
    model: 'gemini-x',
  })
})

test('what is counted until an event goes along with it, for answers that are cut', () => {
  const progress = { promptTokenCount: 10, cachedContentTokenCount: 8, candidatesTokenCount: 1, thoughtsTokenCount: 20 }
  const events = [text('Hel'), says([{ text: 'lo' }], {}, { usageMetadata: progress }), says([{ text: '!' }], {}, {})]

  const counted = dataFrames(run(events).frames).map(({ soFar }) => soFar)

  const none = { cacheRead: 0, cacheWrite: 0, reasoning: 0, estimated: false }
  expect(counted).toEqual([
    undefined,
    { ...none, input: 10, output: 4 },
    { ...none, input: 2, cacheRead: 8, output: 21, reasoning: 20 },
    undefined,
  ])
})

test('what the model draws is content', () => {
  const drawn = { inlineData: { mimeType: 'image/png', data: 'AAAA' } }
  const events = [says([drawn]), says([], { finishReason: 'OTHER' })]

  expect(run(events).frames.map(({ kind }) => kind)).toEqual(['start', 'delta', 'finish', 'usage'])
  expect(choicesOf(events)[1]?.delta).toEqual({
    images: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }],
  })
})

test('nothing that follows a whole answer is told', () => {
  const { frames } = run([text('a', { finishReason: 'STOP' }), text('b', { finishReason: 'STOP' })])

  expect(contentOf(frames)).toBe('a')
  expect(strictProblems(textsOf(frames, true), { usage: true })).toEqual([])
})

test('an answer without a reason for its end is cut, whatever was said', () => {
  expect(run([text('a')]).frames.map(frame => frame.kind)).toEqual(['start', 'delta'])
})

test('the count may come behind the reason', () => {
  const events = [says([{ text: 'a' }], { finishReason: 'STOP' }, {}), event({ usageMetadata: usage })]

  expect(run(events).frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'finish', 'usage'])
})

test('a text with nothing in it is no content', () => {
  const { frames } = run([text(''), text('a'), text('', { finishReason: 'STOP' })])

  expect(frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'finish', 'usage'])
})

test('a signature behind the text goes on, and is no content', () => {
  const { frames } = run([text('a'), says([{ text: '', thoughtSignature: 's' }], { finishReason: 'STOP' })])

  expect(frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'start', 'finish', 'usage'])
  expect(dataFrames(frames)[2]?.text).toContain('"delta":{"extra_content":{"google":{"thought_signature":"s"}}}')
})

test.each([
  ['STOP', 'stop'],
  ['MAX_TOKENS', 'length'],
  ['SAFETY', 'content_filter'],
  ['RECITATION', 'content_filter'],
  ['BLOCKLIST', 'content_filter'],
  ['PROHIBITED_CONTENT', 'content_filter'],
  ['SPII', 'content_filter'],
  ['IMAGE_SAFETY', 'content_filter'],
  ['IMAGE_PROHIBITED_CONTENT', 'content_filter'],
  ['IMAGE_RECITATION', 'content_filter'],
  ['LANGUAGE', 'stop'],
  ['OTHER', 'stop'],
  ['MALFORMED_FUNCTION_CALL', 'stop'],
  ['MALFORMED_RESPONSE', 'stop'],
  ['UNEXPECTED_TOOL_CALL', 'stop'],
  ['TOO_MANY_TOOL_CALLS', 'stop'],
  ['MISSING_THOUGHT_SIGNATURE', 'stop'],
  ['FINISH_REASON_UNSPECIFIED', 'stop'],
  ['OF_NEXT_YEAR', 'stop'],
])('an answer that ends with %s ends with %s', (finishReason, expected) => {
  expect(reasonsOf([text('a', { finishReason })])).toEqual([expected])
})

test.each([
  ['STOP', undefined],
  ['MAX_TOKENS', undefined],
  ['SAFETY', undefined],
  ['OTHER', 'upstream_error'],
  ['MALFORMED_FUNCTION_CALL', 'upstream_error'],
  ['UNEXPECTED_TOOL_CALL', 'upstream_error'],
  ['OF_NEXT_YEAR', 'upstream_error'],
])('of nothing that ends with %s becomes %s', (finishReason, code) => {
  expect(errorOf([says([], { finishReason })])).toBe(code)
  expect(errorOf([says([{ text: 'Hm', thought: true }], { finishReason })])).toBe(code)
})

describe('tool calls', () => {
  test('end the answer as such, although Gemini says STOP', () => {
    expect(reasonsOf([says([calls('f')]), text('', { finishReason: 'STOP' })])).toEqual(['tool_calls'])
    expect(reasonsOf([says([calls('f')], { finishReason: 'MAX_TOKENS' })])).toEqual(['length'])
  })

  test('of several events are numbered on, with ids that differ', () => {
    const events = [
      says([{ text: 'So' }, calls('f'), calls('f')]),
      says([calls('g', { id: 'own' }), calls('g', { id: 'own' })], { finishReason: 'STOP' }),
    ]

    const found = choicesOf(events).flatMap(choice => (choice.delta as { tool_calls?: JsonObject[] }).tool_calls ?? [])

    expect(strictProblems(textsOf(run(events).frames))).toEqual([])
    expect(found.map(each => each.index)).toEqual([0, 1, 2, 3])
    expect(found[2]?.id).toBe('own')
    expect(new Set(found.map(each => each.id)).size).toBe(4)
  })

  test('get the same ids each time, and others in another answer', () => {
    const idOf = (responseId: string) =>
      JSON.stringify(choicesOf([event({ ...JSON.parse(says([calls('f')]).slice(6)), responseId })]))

    expect(idOf('a')).toBe(idOf('a'))
    expect(idOf('a')).not.toBe(idOf('b'))
  })

  test('without arguments have none', () => {
    const [, delta] = choicesOf([says([{ functionCall: { name: 'f' } }], { finishReason: 'STOP' })])

    expect(delta).toMatchObject({ delta: { tool_calls: [{ function: { name: 'f', arguments: '{}' } }] } })
  })
})

test('several candidates each begin and end once, and are counted together', () => {
  const candidate = (index: number, content: string, more: JsonObject = {}) => ({
    index,
    content: { parts: [{ text: content }] },
    ...more,
  })
  const events = [
    event({ candidates: [candidate(0, 'a'), candidate(1, 'b')], usageMetadata: usage }),
    event({ candidates: [candidate(1, 'B', { finishReason: 'MAX_TOKENS' })], usageMetadata: usage }),
    event({ candidates: [candidate(1, 'too late')], usageMetadata: usage }),
    event({
      candidates: [candidate(0, 'A', { finishReason: 'STOP' })],
      usageMetadata: { ...usage, candidatesTokenCount: 9 },
    }),
  ]

  const { frames } = run(events, { n: 2 })

  expect(strictProblems(textsOf(frames, true), { usage: true })).toEqual([])
  expect(
    choicesOf(events, { n: 2 }).flatMap(each => (each.finish_reason ? [[each.index, each.finish_reason]] : [])),
  ).toEqual([
    [1, 'length'],
    [0, 'stop'],
  ])
  expect(dataFrames(frames).at(-1)?.usage).toMatchObject({ input: 10, output: 9 })
})

test('log probabilities come with their piece', () => {
  const logprobsResult = { chosenCandidates: [{ token: 'é' }], topCandidates: [{ candidates: [{ token: 'é' }] }] }

  const [, delta] = choicesOf([text('é', { logprobsResult })])

  const one = { token: 'é', logprob: 0, bytes: [195, 169] }
  expect(delta?.logprobs).toEqual({ content: [{ ...one, top_logprobs: [one] }], refusal: null })
})

test('a prompt that was blocked is an answer that was filtered', () => {
  const blocked = event({ promptFeedback: { blockReason: 'SAFETY', blockReasonMessage: 'Why' }, usageMetadata: usage })

  const { frames } = run([blocked])

  expect(frames.map(frame => frame.kind)).toEqual(['start', 'finish', 'usage'])
  expect(reasonsOf([blocked])).toEqual(['content_filter'])
})

test('a prompt that is blocked while the answer is under way filters what has not ended', () => {
  const blocked = event({ promptFeedback: { blockReason: 'PROHIBITED_CONTENT' }, usageMetadata: usage })

  const { frames } = run([says([{ text: 'Hm', thought: true }]), text('Hel'), blocked])

  expect(frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'delta', 'finish', 'usage'])
  expect(reasonsOf([text('Hel'), blocked])).toEqual(['content_filter'])
  expect(reasonsOf([text('Hello', { finishReason: 'MAX_TOKENS' }), blocked])).toEqual(['length'])
})

describe('an error', () => {
  const error = { code: 429, message: 'Slow down', status: 'RESOURCE_EXHAUSTED' }

  test.each([
    ['as an event', `data: ${JSON.stringify({ error })}\r\n\r\n`],
    ['in an array', `data: ${JSON.stringify([{ error }])}\r\n\r\n`],
    ['as bare JSON', `${JSON.stringify({ error }, null, 2)}\n\n`],
    ['as a bare array', `${JSON.stringify([{ error }], null, 2)}\r\n\r\n`],
  ])('that comes %s ends the stream', (_, broken) => {
    expect(errorOf([text('a'), broken, text('b', { finishReason: 'STOP' })])).toBe('provider_rate_limited')
  })
})

test('an error whose code is none of HTTP is the server’s', () => {
  expect(errorOf([`data: ${JSON.stringify({ error: { code: 13, message: 'Internal' } })}\r\n\r\n`])).toBe(
    'upstream_error',
  )
})

test('what is no JSON, or no object, is skipped', () => {
  const { frames, skipped } = run(['data: {"a\n\n', 'data: 5\n\n', text('a', { finishReason: 'STOP' })])

  expect(skipped).toBe(2)
  expect(contentOf(frames)).toBe('a')
})

test('any split, and comments and pings anywhere between events, give the same', () => {
  const part = fc.oneof(
    fc.record({ text: fc.string({ unit: 'grapheme' }) }),
    fc.record({ text: fc.string(), thought: fc.constant(true) }),
    fc.record({
      functionCall: fc.record({ name: fc.constant('f'), args: fc.dictionary(fc.string(), fc.string()) }),
      thoughtSignature: fc.constant('s'),
    }),
  )
  const noise = fc.constantFrom('', ': ping\n\n', ':\r\n\r\n', 'event: ping\n\n', '\n', 'id: 5\n\n')
  const asked: Call = call()

  fc.assert(
    fc.property(
      fc.array(fc.array(part, { maxLength: 3 }), { minLength: 1, maxLength: 5 }),
      fc.array(noise, { minLength: 6, maxLength: 6 }),
      fc.array(fc.nat(4000), { maxLength: 12 }),
      (messages, noises, cuts) => {
        const events = [...messages.map(parts => says(parts)), text('.', { finishReason: 'STOP' })]
        const noisy = events.map((each, at) => (noises[at] ?? '') + each).join('')

        const plain = replay(still, asked, events.join(''))
        const other = replay(
          still,
          asked,
          noisy,
          cuts.toSorted((left, right) => left - right),
        )

        expect(resultOf(other)).toBe(resultOf(plain))
        expect(strictProblems(textsOf(plain.frames, true), { usage: true })).toEqual([])
      },
    ),
    { numRuns: 200 },
  )
})
