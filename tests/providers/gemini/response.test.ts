import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import type { JsonObject } from '#lib/json.ts'
import { gemini } from '#providers/gemini/index.ts'
import { fromGeminiResponse } from '#providers/gemini/response.ts'
import { call } from '#tests/support/calls.ts'
import { chatCompletion } from '#tests/support/openai-schema.ts'

const asked = call({ stream: false, body: { model: 'm', messages: [] } })
const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 4, totalTokenCount: 14 }

function decode(answer: unknown) {
  return fromGeminiResponse(asked, typeof answer === 'string' ? answer : JSON.stringify(answer), 1_800_000_000_000)
}

function completion(candidates: readonly JsonObject[], more: JsonObject = { usageMetadata }) {
  const answer = decode({ responseId: 'r', modelVersion: 'v', candidates, ...more })
  if (answer instanceof GatewayError) throw answer
  return chatCompletion.parse(JSON.parse(answer.text))
}

const says = (parts: readonly JsonObject[], more: JsonObject = {}) => ({
  content: { role: 'model', parts },
  finishReason: 'STOP',
  ...more,
})

test('text, thoughts, calls and signatures find their places', () => {
  const { choices, ...head } = completion([
    says([
      { text: 'Hm. ', thought: true },
      { text: 'Well.', thought: true },
      { text: 'a' },
      { text: 'b', thoughtSignature: 't' },
      { functionCall: { id: 'c', name: 'f', args: { x: 1 } }, thoughtSignature: 's' },
    ]),
  ])

  expect(head).toMatchObject({ id: 'r', model: 'v', created: 1_800_000_000, usage: { total_tokens: 14 } })
  expect(choices[0]?.message).toEqual({
    role: 'assistant',
    content: 'ab',
    refusal: null,
    reasoning_content: 'Hm. Well.',
    extra_content: { google: { thought_signature: 't' } },
    tool_calls: [
      {
        id: 'c',
        type: 'function',
        function: { name: 'f', arguments: '{"x":1}' },
        extra_content: { google: { thought_signature: 's' } },
      },
    ],
  })
})

test('what the model draws stands beside what it says', () => {
  const drawn = [
    { text: 'Here:' },
    { inlineData: { mimeType: 'image/png', data: 'Tm8=' }, thought: true },
    { inlineData: { mimeType: 'image/png', data: 'AAAA' }, thoughtSignature: 's' },
  ]

  const [first] = completion([says(drawn)]).choices
  const [second] = completion([says(drawn.slice(2), { finishReason: 'OTHER' })]).choices

  const images = [
    {
      type: 'image_url',
      image_url: { url: 'data:image/png;base64,AAAA' },
      extra_content: { google: { thought_signature: 's' } },
    },
  ]
  expect(first?.message).toEqual({ role: 'assistant', content: 'Here:', refusal: null, images })
  expect(second?.message).toEqual({ role: 'assistant', content: '', refusal: null, images })
})

test('several candidates are several choices, numbered where the server does not', () => {
  const { choices } = completion([
    says([{ text: 'a' }]),
    says([{ text: 'b' }], { finishReason: 'MAX_TOKENS' }),
    says([], { finishReason: 'OTHER' }),
  ])

  expect(choices.map(({ index, message, finish_reason }) => [index, message.content, finish_reason])).toEqual([
    [0, 'a', 'stop'],
    [1, 'b', 'length'],
    [2, '', 'stop'],
  ])
})

test('the model that was asked for stands in for one that is not named', () => {
  const answer = decode({ candidates: [says([{ text: 'a' }])] })

  expect(answer).toMatchObject({
    chunk: { id: expect.stringMatching(/^chatcmpl-[0-9a-f]{24}$/), model: 'm' },
    usage: null,
  })
})

test.each(['MALFORMED_FUNCTION_CALL', 'OTHER', 'UNEXPECTED_TOOL_CALL'])('nothing but %s is a failure', finishReason => {
  const answer = decode({ candidates: [{ finishReason }], usageMetadata })

  expect(answer).toMatchObject({ code: 'upstream_error', retryable: true })
})

describe('an answer that is none', () => {
  test.each<[string, unknown, string]>([
    ['HTML', '<html>', 'upstream_invalid_response'],
    ['a list', [], 'upstream_invalid_response'],
    ['nothing in it', {}, 'upstream_invalid_response'],
    ['no candidates', { candidates: [] }, 'upstream_invalid_response'],
    ['an error', { error: { code: 503, message: 'x', status: 'UNAVAILABLE' } }, 'upstream_error'],
    ['an error in a list', [{ error: { code: 400, message: 'x', status: 'INVALID_ARGUMENT' } }], 'invalid_request'],
    ['an error without a code', { error: { message: 'x' } }, 'upstream_error'],
  ])('%s', (_, answer, code) => {
    expect(decode(answer)).toMatchObject({ code })
  })
})

describe('embeddings', () => {
  const embed = (answer: unknown, input: string | readonly string[] = ['a', 'b']) =>
    gemini.decode(call({ endpoint: 'embeddings', stream: false, body: { model: 'm', input } }), JSON.stringify(answer))

  test('are numbered, and counted where the server does', () => {
    const answer = embed({
      embeddings: [{ values: [1, 2] }, { values: [3, 4] }],
      usageMetadata: { promptTokenCount: 7 },
    })

    if (answer instanceof GatewayError) throw answer
    expect(JSON.parse(answer.text)).toEqual({
      object: 'list',
      data: [
        { object: 'embedding', index: 0, embedding: [1, 2] },
        { object: 'embedding', index: 1, embedding: [3, 4] },
      ],
      model: 'm',
      usage: { prompt_tokens: 7, total_tokens: 7 },
    })
    expect(answer.usage).toMatchObject({ input: 7, estimated: false })
  })

  test.each<[string, unknown]>([
    ['too few', { embeddings: [{ values: [1] }] }],
    ['empty ones', { embeddings: [{ values: [1] }, { values: [] }] }],
    ['none', {}],
  ])('of which there are %s are no answer', (_, answer) => {
    expect(embed(answer)).toMatchObject({ code: 'upstream_invalid_response' })
  })
})
