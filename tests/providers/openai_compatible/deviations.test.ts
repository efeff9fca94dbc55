import { expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import type { JsonObject } from '#lib/json.ts'
import type { DEVIATIONS } from '#providers/openai_compatible/deviations.ts'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import { dataFrames, replay, textsOf } from '#tests/providers/replay.ts'
import { call } from '#tests/support/calls.ts'
import { chatCompletion, chatCompletionChunk, chunkProblems, schemaProblems } from '#tests/support/openai-schema.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

const head = { id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm' }
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
const tool = { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }

const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`
const chunk = (delta: object, finish_reason: string | null = null, more: object = {}) =>
  event({ ...head, choices: [{ index: 0, delta, finish_reason }], ...more })
const hi = chunk({ role: 'assistant', content: 'Hi' })
const end = chunk({}, 'stop')
const done = 'data: [DONE]\n\n'

/** What a caller receives of a stream, put together, after a strict reader has looked at it. */
function streamed(...events: readonly string[]) {
  const { frames, skipped } = replay(openaiCompatible, call({ wantsUsage: true }), events.join(''))
  const texts = textsOf(frames, true)
  expect(skipped).toBe(0)
  expect(strictProblems(texts, { usage: true })).toEqual([])
  expect(chunkProblems(chatCompletionChunk, texts)).toEqual([])
  const chunks: JsonObject[] = texts.map(text => JSON.parse(text.slice('data: '.length)))
  const choices = dataFrames(frames).flatMap(frame => frame.chunk.choices ?? [])
  return {
    chunks,
    text: choices.map(choice => choice.delta?.content ?? '').join(''),
    thought: choices.map(choice => choice.delta?.reasoning_content ?? '').join(''),
    reason: choices.flatMap(choice => choice.finish_reason ?? []).join(),
    tools: choices.flatMap(choice => choice.delta?.tool_calls ?? []),
    counts: chunks.filter(each => each.usage).map(each => each.choices),
  }
}

/** A plain answer, after a strict reader has looked at it. */
function plain(message: object | undefined, more: object = {}) {
  const body = { ...head, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop', ...more }] }
  const answer = openaiCompatible.decode(call({ stream: false }), JSON.stringify(body))
  if (answer instanceof GatewayError) return answer
  expect(schemaProblems(chatCompletion, JSON.parse(answer.text))).toEqual([])
  return JSON.parse(answer.text).choices[0]
}

function failed(...events: readonly string[]) {
  const last = replay(openaiCompatible, call(), events.join('')).frames.at(-1)
  return last?.kind === 'error' ? last.error.code : null
}

function refused(status: number, body: unknown) {
  const { code, message } = openaiCompatible.decodeError({ status, header: () => null }, JSON.stringify(body))
  return { code, message }
}

/** A server with each habit, and what has to come of it. */
const HABITS: Readonly<Record<keyof typeof DEVIATIONS, () => void>> = {
  comments: () => expect(streamed(': PROCESSING\n\n', hi, ': PROCESSING\n\n', end, done).chunks).toHaveLength(2),
  no_done: () => expect(streamed(hi, end)).toMatchObject({ text: 'Hi', reason: 'stop' }),
  only_done: () => expect(streamed(hi, done).reason).toBe('stop'),
  no_choice_first: () => {
    const first = event({ choices: [], id: '', object: '', model: '', created: 0, prompt_filter_results: [1] })

    expect(streamed(first, hi, end, done).chunks[0]).toMatchObject({ ...head, prompt_filter_results: [1] })
  },
  no_role: () => expect(streamed(chunk({ content: 'Hi' }), end, done).text).toBe('Hi'),
  empty_role: () => expect(streamed(hi, chunk({ role: '', content: '!' }), end, done).text).toBe('Hi!'),
  repeated_finish: () => expect(streamed(hi, end, end, done).reason).toBe('stop'),
  foreign_reason: () => {
    const reasons = ['eos', 'stop_sequence', 'model_length', 'max_tokens', 'tool_use', 'safety']

    expect(reasons.map(reason => streamed(hi, chunk({}, reason), done).reason)).toEqual([
      'stop',
      'stop',
      'length',
      'length',
      'tool_calls',
      'content_filter',
    ])
  },
  tools_end_with_stop: () =>
    expect(streamed(chunk({ role: 'assistant', tool_calls: [tool] }), end, done).reason).toBe('tool_calls'),
  count_with_finish: () => expect(streamed(hi, chunk({}, 'stop', { usage }), done).counts).toEqual([[]]),
  count_everywhere: () => {
    const each = [chunk({ role: 'assistant', content: 'H' }, null, { usage }), chunk({ content: 'i' }, null, { usage })]

    expect(streamed(...each, chunk({}, 'stop', { usage }), done).counts).toEqual([[]])
  },
  count_elsewhere: () => expect(streamed(hi, chunk({}, 'stop', { x_groq: { usage } }), done).counts).toEqual([[]]),
  content_parts: () => {
    const parts = [
      { type: 'thinking', thinking: [{ type: 'text', text: 'Hm' }] },
      { type: 'text', text: 'Hi' },
    ]

    expect(streamed(chunk({ content: parts }), end, done)).toMatchObject({ text: 'Hi', thought: 'Hm' })
    expect(streamed(hi, chunk({ content: [{ type: 'text', text: '!' }] }), end, done).text).toBe('Hi!')
    expect(plain({ role: 'assistant', content: parts }).message).toMatchObject({
      content: 'Hi',
      reasoning_content: 'Hm',
    })
  },
  no_content: () => expect(plain({ role: 'assistant', tool_calls: [tool] }).message.content).toBeNull(),
  no_message: () => expect(plain(undefined, { finish_reason: 'content_filter' }).message.content).toBeNull(),
  reasoning: () => {
    const thinking = [chunk({ role: 'assistant', reasoning: 'H' }), chunk({ reasoning: 'm' })]

    expect(streamed(...thinking, hi, end, done)).toMatchObject({ text: 'Hi', thought: 'Hm' })
    expect(plain({ role: 'assistant', content: 'Hi', reasoning: 'Hm' }).message.reasoning_content).toBe('Hm')
  },
  null_lists: () => {
    expect(streamed(hi, chunk({ content: '!', tool_calls: null }), end, done).text).toBe('Hi!')
    expect(plain({ role: 'assistant', content: 'Hi', tool_calls: null, annotations: null }).message).toEqual({
      role: 'assistant',
      content: 'Hi',
    })
  },
  empty_id: () => {
    const { chunks } = streamed(hi.replace('"c1"', '""'), end.replace('"c1"', '""'), done)

    expect(new Set(chunks.map(each => each.id)).size).toBe(1)
    expect(chunks[0]?.id).toMatch(/^chatcmpl-[0-9a-f]{24}$/)
  },
  other_object: () => expect(streamed(hi, end.replace('completion.chunk', 'completion.done'), done).text).toBe('Hi'),
  tool_id: () => {
    const calls = [
      { ...tool, id: '0' },
      { ...tool, id: '0', index: 1 },
      { ...tool, id: '', index: 2 },
    ]
    const { tools } = streamed(chunk({ role: 'assistant', tool_calls: calls }), end, done)

    expect(tools.map(({ id }) => id)).toEqual(Array(3).fill(expect.stringMatching(/^call_[0-9a-f]{24}$/)))
    expect(new Set(tools.map(({ id }) => id)).size).toBe(3)
  },
  tool_index: () => {
    const first = chunk({ role: 'assistant', tool_calls: [{ ...tool, index: 1 }] })
    const second = chunk({ tool_calls: [{ ...tool, id: 'b', index: undefined }] })

    expect(streamed(first, second, end, done).tools.map(({ index }) => index)).toEqual([0, 1])
  },
  plain_tool_index: () => {
    const { tool_calls: calls } = plain({ role: 'assistant', content: null, tool_calls: [tool] }).message

    expect(calls[0]).toEqual({ ...tool, index: undefined })
    expect(calls[0]).not.toHaveProperty('index')
  },
  tool_head_repeated: () => {
    const begun = { ...tool, function: { name: 'f', arguments: '{' } }
    const rest = { ...tool, function: { name: null, arguments: '}' } }
    const { tools } = streamed(
      chunk({ role: 'assistant', tool_calls: [begun] }),
      chunk({ tool_calls: [rest] }),
      end,
      done,
    )

    expect(tools.map(({ id, function: part }) => [id, part?.name])).toEqual([
      ['a', 'f'],
      [undefined, undefined],
    ])
  },
  tool_arguments: () => {
    const given = { ...tool, function: { name: 'f', arguments: { x: 1 } } }

    expect(
      plain({ role: 'assistant', content: null, tool_calls: [given] }).message.tool_calls[0].function.arguments,
    ).toBe('{"x":1}')
  },
  error_in_200: () => {
    const body = JSON.stringify({ error: { message: 'filtered', code: 'content_filter', status: 400 } })

    expect(openaiCompatible.decode(call({ stream: false }), body)).toMatchObject({ code: 'content_policy_violation' })
    expect(failed(hi, event({ ...head, error: { code: 502, message: 'gone' }, choices: [] }))).toBe('upstream_error')
  },
  error_event: () =>
    expect(failed(hi, `event: error\n${event({ error: { message: 'no', status_code: 400 } })}`)).toBe(
      'invalid_request',
    ),
  error_finish: () => {
    for (const reason of ['error', 'insufficient_system_resource']) {
      expect(failed(hi, chunk({}, reason))).toBe('upstream_error')
      expect(plain({ role: 'assistant', content: 'H' }, { finish_reason: reason })).toMatchObject({
        code: 'upstream_error',
      })
    }
  },
  error_text: () =>
    expect(refused(404, { error: "model 'x' not found" })).toEqual({
      code: 'model_not_found',
      message: "model 'x' not found",
    }),
  error_number: () => expect(refused(400, { error: { message: 'no', code: 400 } }).code).toBe('invalid_request'),
  error_detail: () =>
    expect(refused(422, { detail: [{ loc: ['body', 'seed'], msg: 'extra' }] })).toEqual({
      code: 'invalid_request',
      message: 'seed: extra',
    }),
  total_alone: () => {
    const body = {
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: [1] }],
      usage: { total_tokens: 9 },
    }
    const asked = call({ endpoint: 'embeddings', stream: false, body: { input: 'a' } })
    const answer = openaiCompatible.decode(asked, JSON.stringify(body))

    expect(answer).toMatchObject({ usage: { input: 9, estimated: false } })
    expect(JSON.parse('text' in answer ? answer.text : '')).toEqual({
      ...body,
      usage: { prompt_tokens: 9, total_tokens: 9 },
    })
  },
  bare_list: () => expect(openaiCompatible.catalog.decodeList('[{"id":"m"}]')).toMatchObject([{ id: 'm' }]),
}

test.each(Object.entries(HABITS))('%s', (_, check) => check())
