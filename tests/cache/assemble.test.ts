import { describe, expect, test } from 'bun:test'
import { assemble } from '#cache/assemble.ts'
import type { JsonObject } from '#lib/json.ts'

/** Chunks of one choice that say these things. */
const saying = (...deltas: readonly JsonObject[]): JsonObject[] =>
  deltas.map(delta => ({ choices: [{ index: 0, delta, finish_reason: null }] }))
const end = (finish_reason: string, index = 0): JsonObject => ({ choices: [{ index, delta: {}, finish_reason }] })

const messageOf = (chunks: readonly JsonObject[]) => {
  const { choices } = assemble(chunks, 'chat') as { readonly choices: readonly { readonly message: JsonObject }[] }
  return choices[0]?.message
}

describe('of a stream that becomes a plain answer', () => {
  test('the head is the first, the count the last', () => {
    const chunks = [
      { id: 'chatcmpl-1', system_fingerprint: 'a', choices: [], usage: { total_tokens: 1 } },
      { id: 'chatcmpl-2', system_fingerprint: 'b', choices: [], usage: { total_tokens: 2 } },
      { id: 'chatcmpl-2', choices: [], usage: null },
    ]

    expect(assemble(chunks, 'chat')).toEqual({
      id: 'chatcmpl-1',
      system_fingerprint: 'a',
      object: 'chat.completion',
      choices: [],
      usage: { total_tokens: 2 },
    })
  })

  test('the choices stand in their order, whichever began first, and each ends as it ended', () => {
    const chunks = [end('length', 1), { choices: [{ index: 0, delta: { content: 'A' } }] }, end('stop'), ...saying({})]

    expect(assemble(chunks, 'chat').choices).toMatchObject([
      { index: 0, message: { content: 'A' }, finish_reason: 'stop' },
      { index: 1, message: { content: null }, finish_reason: 'length' },
    ])
  })

  test.each([
    { content: ['', ''], tools: true, whole: null },
    { content: ['I will', ' look'], tools: true, whole: 'I will look' },
    { content: ['', ''], tools: false, whole: '' },
    { content: [null, 'Hi', null], tools: false, whole: 'Hi' },
  ])('content $content is $whole (beside tool calls: $tools)', ({ content, tools, whole }) => {
    const calls = tools ? saying({ tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '{}' } }] }) : []
    const deltas = content.map(content => ({ role: 'assistant', content }))

    expect(messageOf([...saying(...deltas), ...calls])).toEqual({
      role: 'assistant',
      content: whole,
      refusal: null,
      ...(tools && { tool_calls: [{ id: 'c', function: { name: 'f', arguments: '{}' } }] }),
    })
  })

  test('what is no text is as it came last, and a choice may end without a delta', () => {
    const chunks = [
      ...saying({ content: 'Hi', score: 1, flag: true }, { score: 2 }),
      { choices: [{ index: 0, finish_reason: 'stop' }] },
    ]

    expect(assemble(chunks, 'chat').choices).toEqual([
      {
        index: 0,
        finish_reason: 'stop',
        message: { role: 'assistant', content: 'Hi', refusal: null, score: 2, flag: true },
      },
    ])
  })

  test('log probabilities add up', () => {
    const entries = ['Hel', 'lo'].map(token => ({ token, logprob: -1 }))
    const chunks = [
      ...entries.map(entry => ({ choices: [{ index: 0, delta: {}, logprobs: { content: [entry], refusal: null } }] })),
      { choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: 'stop' }] },
    ]

    expect(assemble(chunks, 'chat').choices).toMatchObject([{ logprobs: { content: entries, refusal: null } }])
  })

  test('lists, sound and tool calls without numbers grow; ids do not', () => {
    const message = messageOf(
      saying(
        { audio: { id: 'audio_1', data: 'AA', transcript: 'Hel' }, annotations: [{ at: 1 }] },
        { audio: { id: 'audio_1', data: 'BB', transcript: 'lo' }, annotations: [{ at: 2 }] },
        { tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{}' } }] },
        { tool_calls: [{ id: 'b', function: { name: 'g', arguments: '{}' } }] },
      ),
    )

    expect(message).toMatchObject({
      audio: { id: 'audio_1', data: 'AABB', transcript: 'Hello' },
      annotations: [{ at: 1 }, { at: 2 }],
      tool_calls: [
        { id: 'a', function: { name: 'f' } },
        { id: 'b', function: { name: 'g' } },
      ],
    })
  })

  test('a name, an id and a type that are repeated stand once, and texts grow', () => {
    const call = (piece: string) => ({ index: 1, id: 'a', type: 'function', function: { name: 'f', arguments: piece } })

    expect(messageOf(saying({ tool_calls: [call('{"a"')] }, { tool_calls: [call(':1}')] }))).toMatchObject({
      tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }],
    })
    const pieces = ['Hel', 'lo'].map(text => ({ choices: [{ index: 0, text, logprobs: null, finish_reason: null }] }))
    expect(assemble(pieces, 'completions').choices).toEqual([
      { index: 0, logprobs: null, finish_reason: null, text: 'Hello' },
    ])
  })
  test('the input of a custom tool grows as the arguments of a function do', () => {
    const custom = (piece: JsonObject) => ({ tool_calls: [{ index: 0, custom: piece }] })
    const begun = { tool_calls: [{ index: 0, id: 'a', type: 'custom', custom: { name: 'run', input: '' } }] }
    expect(messageOf(saying(begun, custom({ input: 'print(' }), custom({ input: '1)' })))).toMatchObject({
      tool_calls: [{ id: 'a', type: 'custom', custom: { name: 'run', input: 'print(1)' } }],
    })
  })
})
