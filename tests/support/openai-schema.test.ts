import { describe, expect, test } from 'bun:test'
import {
  chatCompletion,
  chatCompletionChunk,
  chunkProblems,
  embeddingList,
  schemaProblems,
  textCompletion,
} from '#tests/support/openai-schema.ts'

const head = { id: 'chatcmpl-1', created: 1, model: 'm' }

function plain(message: object, more: object = {}): unknown {
  const choice = { index: 0, message: { role: 'assistant', content: 'Hi', ...message }, finish_reason: 'stop', ...more }
  return { ...head, object: 'chat.completion', choices: [choice] }
}

describe('the schema of a plain answer', () => {
  test('takes what OpenAI sends', () => {
    const calls = [{ id: 'call_1', type: 'function', function: { name: 'add', arguments: '{}' } }]

    expect(schemaProblems(chatCompletion, plain({ refusal: null, annotations: [] }))).toEqual([])
    expect(schemaProblems(chatCompletion, plain({ content: null, tool_calls: calls }))).toEqual([])
  })

  test.each([
    ['a list as content', plain({ content: [{ type: 'text', text: 'Hi' }] })],
    ['no content', plain({ content: undefined })],
    ['null for tool calls', plain({ tool_calls: null })],
    [
      'an object as arguments',
      plain({ tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: {} } }] }),
    ],
    [
      'a tool call without an id',
      plain({ tool_calls: [{ id: '', type: 'function', function: { name: 'f', arguments: '' } }] }),
    ],
    ['a finish of its own', plain({}, { finish_reason: 'eos' })],
    ['no choice', { ...head, object: 'chat.completion', choices: [] }],
    ['another object', { ...head, object: '', choices: [] }],
  ])('refuses %s', (_, answer) => {
    expect(schemaProblems(chatCompletion, answer)).not.toEqual([])
  })
})

test('the schema of a chunk tells which event breaks it, and where', () => {
  const chunk = { ...head, object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: 'Hi' } }] }
  const broken = { ...chunk, choices: [{ index: 0, delta: { tool_calls: [{ function: { name: null } }] } }] }
  const events = [chunk, broken].map(each => `data: ${JSON.stringify(each)}\n\n`)

  expect(chunkProblems(chatCompletionChunk, events)).toEqual([
    expect.stringMatching(/^event 1: choices\.0\.delta\.tool_calls\.0\.index: /),
    expect.stringMatching(/^event 1: choices\.0\.delta\.tool_calls\.0\.function\.name: /),
  ])
})

test('completions and embeddings have schemas too', () => {
  const text = { ...head, object: 'text_completion', choices: [{ index: 0, text: 'Hi', finish_reason: 'length' }] }
  const vectors = {
    object: 'list',
    model: 'm',
    data: [{ object: 'embedding', index: 0, embedding: [0.5] }],
    usage: { prompt_tokens: 1, total_tokens: 1 },
  }

  expect(schemaProblems(textCompletion, text)).toEqual([])
  expect(schemaProblems(textCompletion, { ...text, choices: [{ index: 0 }] })).not.toEqual([])
  expect(schemaProblems(embeddingList, vectors)).toEqual([])
  expect(schemaProblems(embeddingList, { ...vectors, usage: undefined })).not.toEqual([])
})
