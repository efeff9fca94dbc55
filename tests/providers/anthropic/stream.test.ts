import { describe, expect, test } from 'bun:test'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import type { JsonObject } from '#lib/json.ts'
import { anthropic, chat } from '#tests/providers/anthropic/cases.ts'
import { contentOf, dataFrames, replay, textsOf } from '#tests/providers/replay.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

const asked = chat({}, { stream: true })
const start = { type: 'message_start', message: { id: 'msg_1', model: 'claude', usage: { input_tokens: 5 } } }
const stop = { type: 'message_stop' }

const finish = (stop_reason: string | null, usage: JsonObject = { output_tokens: 3 }) => ({
  type: 'message_delta',
  delta: { stop_reason },
  usage,
})

/** The events of one block. */
function block(content_block: JsonObject, ...deltas: JsonObject[]): JsonObject[] {
  return [
    { type: 'content_block_start', index: 0, content_block },
    ...deltas.map(delta => ({ type: 'content_block_delta', index: 0, delta })),
    { type: 'content_block_stop', index: 0 },
  ]
}

const text = (...pieces: string[]) =>
  block({ type: 'text', text: '' }, ...pieces.map(piece => ({ type: 'text_delta', text: piece })))
const tool = (id: string, name: string, ...pieces: string[]) =>
  block(
    { type: 'tool_use', id, name, input: {} },
    ...['', ...pieces].map(piece => ({ type: 'input_json_delta', partial_json: piece })),
  )
const thought = (thinking: string, signature: string) =>
  block(
    { type: 'thinking', thinking: '', signature: '' },
    { type: 'thinking_delta', thinking },
    { type: 'signature_delta', signature },
  )

function play(events: readonly JsonObject[], call: Call = asked) {
  const body = events.map(event => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')
  return replay(anthropic, call, body)
}

function choicesOf(events: readonly JsonObject[], call: Call = asked) {
  return dataFrames(play(events, call).frames).flatMap(frame => frame.chunk.choices ?? [])
}

function reasonOf(events: readonly JsonObject[]) {
  return choicesOf(events).flatMap(choice => choice.finish_reason ?? [])
}

describe('a stream', () => {
  test.each([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['pause_turn', 'stop'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['refusal', 'content_filter'],
    ['a_new_reason', 'stop'],
  ])('that Anthropic ends with %s ends with %s for the caller', (given, reason) => {
    expect(reasonOf([start, ...text('Hi'), finish(given), stop])).toEqual([reason])
  })

  test('leaves out the tools of the server, and what is not known yet', () => {
    const events = [
      start,
      ...block(
        { type: 'server_tool_use', id: 's', name: 'web_search', input: {} },
        { type: 'input_json_delta', partial_json: '{"q":1}' },
      ),
      ...block({ type: 'web_search_tool_result', tool_use_id: 's', content: [] }),
      ...block({ type: 'news' }, { type: 'news_delta', text: 'no' }),
      { type: 'vibe_check' },
      ...text('Found.'),
      finish('end_turn'),
      stop,
    ]

    const { frames, skipped } = play(events)

    expect([contentOf(frames), skipped]).toEqual(['Found.', 0])
    expect(strictProblems(textsOf(frames))).toEqual([])
  })

  test('leaves citations out of the answer', () => {
    const cited = block(
      { type: 'text', text: '' },
      { type: 'citations_delta', citation: {} },
      { type: 'text_delta', text: 'x' },
    )

    expect(contentOf(play([start, ...cited, finish('end_turn'), stop]).frames)).toBe('x')
  })

  test('takes what a block begins with', () => {
    const events = [
      start,
      ...block({ type: 'thinking', thinking: 'Hm', signature: 's' }),
      ...block({ type: 'text', text: 'So' }, { type: 'text_delta', text: '!' }),
      ...block({ type: 'tool_use', id: 't', name: 'f', input: { a: 1 } }),
      finish('tool_use'),
      stop,
    ]

    const deltas = choicesOf(events).map(choice => choice.delta)

    expect(deltas).toMatchObject([
      { role: 'assistant', content: '' },
      { reasoning_content: 'Hm' },
      { content: 'So' },
      { content: '!' },
      { tool_calls: [{ index: 0, id: 't', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }] },
      { reasoning_details: [{ type: 'reasoning.text', text: 'Hm', signature: 's', index: 0 }] },
      {},
    ])
  })

  test('tells all thoughts at once before its end, each with its place', () => {
    const events = [
      start,
      ...thought('One', 's1'),
      ...text('I look.'),
      ...block({ type: 'redacted_thinking', data: 'd' }),
      ...tool('t', 'f'),
      finish('tool_use'),
      stop,
    ]

    const all = choicesOf(events)

    expect(all.at(-2)?.delta as unknown).toEqual({
      reasoning_details: [
        { type: 'reasoning.text', text: 'One', signature: 's1', format: 'anthropic-claude-v1', index: 0 },
        { type: 'reasoning.encrypted', data: 'd', format: 'anthropic-claude-v1', index: 2 },
      ],
    })
    expect(all.at(-1)?.finish_reason).toBe('tool_calls')
  })

  test('counts what came last, whatever the end leaves out', () => {
    const begin = {
      ...start,
      message: { ...start.message, usage: { input_tokens: 5, cache_read_input_tokens: 7, output_tokens: 1 } },
    }
    const end = [finish(null, { output_tokens: 2 }), finish('end_turn', { input_tokens: 0, output_tokens: 4 })]

    const last = dataFrames(play([begin, ...text('Hi'), ...end, stop]).frames).at(-1)

    expect(last?.usage).toMatchObject({ input: 5, cacheRead: 7, output: 4 })
  })

  test('is counted also when it closes without message_stop', () => {
    const { frames } = play([start, ...text('Hi'), finish('end_turn')])

    expect(dataFrames(frames).map(frame => frame.kind)).toEqual(['start', 'delta', 'finish', 'usage'])
  })

  test('ends also without a reason, and without the end of its last block', () => {
    const cut = tool('t', 'f').slice(0, -1)

    const choices = choicesOf([start, ...cut, stop])

    expect(choices.map(choice => choice.delta?.tool_calls?.[0]?.function?.arguments).filter(Boolean)).toEqual(['{}'])
    expect(choices.at(-1)?.finish_reason).toBe('tool_calls')
  })

  test('that breaks off is not finished', () => {
    const { frames } = play([start, ...text('Hi')])

    expect(dataFrames(frames).map(frame => frame.kind)).toEqual(['start', 'delta'])
  })

  test('tells an error in its middle', () => {
    const error = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }

    const { frames } = play([start, ...text('Hi'), error, finish('end_turn'), stop])

    const last = frames.at(-1)
    expect(last?.kind === 'error' && last.error.retryable).toBe(true)
    expect(frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'error'])
  })

  test.each(['{"type":', '[]', '{"type":"content_block_stop"}'])('skips what cannot be read: %s', data => {
    const { skipped } = replay(anthropic, asked, `data: ${data}\n\n`)

    expect(skipped).toBe(1)
  })
})

describe('an answer in JSON that a tool gives', () => {
  const wanting = chat({ response_format: { type: 'json_object' } }, { stream: true })

  test('is given as content, and not as a tool call', () => {
    const events = [start, ...tool('t', 'json_answer', '{"a":', '1}'), finish('tool_use'), stop]

    const { frames } = play(events, wanting)

    expect(contentOf(frames)).toBe('{"a":1}')
    expect(choicesOf(events, wanting).at(-1)?.finish_reason).toBe('stop')
    expect(strictProblems(textsOf(frames))).toEqual([])
  })

  test('is an empty object when the tool gets no input', () => {
    expect(contentOf(play([start, ...tool('t', 'json_answer'), finish('tool_use'), stop], wanting).frames)).toBe('{}')
  })

  test('is a call like any other where no JSON was asked for', () => {
    const events = [start, ...tool('t', 'json_answer', '{}'), finish('tool_use'), stop]

    expect(choicesOf(events).at(-1)?.finish_reason).toBe('tool_calls')
  })

  test('is content of a plain answer too', () => {
    const content = [{ type: 'tool_use', id: 't', name: 'json_answer', input: { a: 1 } }]
    const answer = anthropic.decode(wanting, JSON.stringify({ id: 'm', model: 'c', content, stop_reason: 'tool_use' }))

    expect(answer).toMatchObject({ chunk: { choices: [{ message: { content: '{"a":1}' }, finish_reason: 'stop' }] } })
  })
})

describe('a plain answer', () => {
  const decode = (body: unknown) => anthropic.decode(asked, typeof body === 'string' ? body : JSON.stringify(body))

  test('of tools alone has no content', () => {
    const content = [
      { type: 'server_tool_use', id: 's', name: 'web_search', input: {} },
      { type: 'tool_use', id: 't', name: 'f', input: {} },
    ]

    expect(decode({ content, stop_reason: 'tool_use' })).toMatchObject({
      chunk: {
        choices: [{ message: { content: null, tool_calls: [{ id: 't', function: { name: 'f', arguments: '{}' } }] } }],
      },
    })
  })

  test('keeps its thoughts, also those that nobody can read', () => {
    const content = [
      { type: 'thinking', thinking: '', signature: 's' },
      { type: 'redacted_thinking', data: 'd' },
      { type: 'text', text: 'So' },
    ]

    const answer = decode({ content, stop_reason: 'end_turn' })
    if (answer instanceof GatewayError) throw answer

    const message: unknown = answer.chunk.choices?.[0]?.message
    expect(message).toEqual({
      role: 'assistant',
      content: 'So',
      refusal: null,
      reasoning_details: [
        { type: 'reasoning.text', text: '', signature: 's', format: 'anthropic-claude-v1', index: 0 },
        { type: 'reasoning.encrypted', data: 'd', format: 'anthropic-claude-v1', index: 1 },
      ],
    })
  })

  test('tells where its thoughts stood', () => {
    const content = [
      { type: 'text', text: 'So ' },
      { type: 'text', text: 'I look.' },
      { type: 'tool_use', id: 't', name: 'f', input: {} },
      { type: 'redacted_thinking', data: 'd' },
    ]

    expect(decode({ content, stop_reason: 'tool_use' })).toMatchObject({
      chunk: { choices: [{ message: { reasoning_details: [{ data: 'd', index: 2 }] } }] },
    })
  })

  test.each([
    ['<html>', 'upstream_invalid_response'],
    [{ id: 'msg_1' }, 'upstream_invalid_response'],
    [{ type: 'error', error: { type: 'rate_limit_error', message: 'slow' } }, 'provider_rate_limited'],
  ])('that is none is an error: %j', (body, code) => {
    expect(decode(body)).toMatchObject({ code })
  })
})
