import { describe, expect, test } from 'bun:test'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import { call } from '#tests/support/calls.ts'

const head = { id: 'c1', object: 'chat.completion', created: 1, model: 'm' }
const message = { role: 'assistant', content: 'Hi' }
const choice = { index: 0, message, finish_reason: 'stop' }

function decode(body: unknown, more: Partial<Call> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const answer = openaiCompatible.decode(call({ stream: false, ...more }), text)
  return answer instanceof GatewayError
    ? answer
    : { ...answer, same: answer.text === text, body: JSON.parse(answer.text) }
}

test('a whole answer goes on as it came', () => {
  const body =
    '{ "id":"c1", "object":"chat.completion", "created":1, "model":"m", "zzz":[ ], "usage":null,' +
    ' "choices":[ {"index":0,"message":{"role":"assistant","content":"é"},"finish_reason":"stop","zzz":1} ] }'

  expect(decode(body)).toMatchObject({ kind: 'finish', text: body, usage: null })
})

test('the usage of a plain answer is read', () => {
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }

  expect(decode({ ...head, choices: [choice], usage })).toMatchObject({ same: true, usage: { input: 3, output: 2 } })
})

describe('what a strict client would stumble over is mended:', () => {
  const call1 = { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }

  test.each<[string, object, object]>([
    ['no message', { index: 0, finish_reason: 'content_filter' }, { message: { role: 'assistant', content: null } }],
    ['no role', { ...choice, message: { content: 'Hi' } }, { message }],
    ['no content', { ...choice, message: { role: 'assistant' } }, { message: { role: 'assistant', content: null } }],
    ['null for a list', { ...choice, message: { ...message, tool_calls: null, annotations: null } }, { message }],
    ['a number for a list', { ...choice, message: { ...message, tool_calls: 0, annotations: 1 } }, { message }],
    ['an object for a list', { ...choice, message: { ...message, tool_calls: { a: 1 } } }, { message }],
    [
      'null among tool calls',
      { ...choice, message: { ...message, tool_calls: [null, call1] }, finish_reason: 'tool_calls' },
      { message: { ...message, tool_calls: [call1] } },
    ],
    [
      'content in parts, thinking among them',
      {
        ...choice,
        message: {
          ...message,
          content: [
            { type: 'thinking', thinking: [{ type: 'text', text: 'Hm' }] },
            { type: 'text', text: 'H' },
            { type: 'text', text: 'i' },
          ],
        },
      },
      { message: { content: 'Hi', reasoning_content: 'Hm' } },
    ],
    [
      'thinking under another name',
      { ...choice, message: { ...message, reasoning: 'Hm' } },
      { message: { ...message, reasoning: 'Hm', reasoning_content: 'Hm' } },
    ],
    ['an end in other words', { ...choice, finish_reason: 'eos' }, choice],
    ['a limit in other words', { ...choice, finish_reason: 'model_length' }, { ...choice, finish_reason: 'length' }],
    [
      'tool calls that end with stop',
      { ...choice, message: { ...message, tool_calls: [call1] } },
      { finish_reason: 'tool_calls' },
    ],
    ['no end', { index: 0, message }, choice],
    [
      'ids that are not unique',
      { ...choice, message: { ...message, tool_calls: [{ ...call1, id: '0' }, call1, call1] } },
      {
        message: {
          tool_calls: [
            { id: expect.stringMatching(/^call_/) },
            call1,
            { id: expect.stringMatching(/^call_/), function: call1.function },
          ],
        },
      },
    ],
    ['no index', { message, finish_reason: 'stop' }, { index: 0, message }],
    [
      'a tool call without a type',
      { ...choice, message: { ...message, tool_calls: [{ ...call1, type: undefined }] } },
      { message: { tool_calls: [call1] } },
    ],
    [
      'a tool call without an id',
      { ...choice, message: { ...message, tool_calls: [{ ...call1, id: '' }] } },
      { message: { tool_calls: [{ ...call1, id: expect.stringMatching(/^call_/) }] } },
    ],
    [
      'arguments as an object',
      { ...choice, message: { ...message, tool_calls: [{ ...call1, function: { name: 'f', arguments: { a: 1 } } }] } },
      { message: { tool_calls: [{ function: { arguments: '{"a":1}' } }] } },
    ],
  ])('%s', (_, given, expected) => {
    expect(decode({ ...head, choices: [given] })).toMatchObject({ same: false, body: { ...head, choices: [expected] } })
  })

  test('a head with an empty id, another object or nothing', () => {
    const heads = [{ ...head, id: '' }, { ...head, object: 'chat.completion.chunk' }, {}]

    for (const given of heads) {
      expect(decode({ ...given, choices: [choice] })).toMatchObject({
        same: false,
        body: {
          id: expect.stringMatching(/^c/),
          object: 'chat.completion',
          created: expect.any(Number),
          model: expect.any(String),
        },
      })
    }
  })

  test('a text completion without text', () => {
    const answer = decode({ ...head, choices: [{ finish_reason: 'eos_token' }] }, { endpoint: 'completions' })

    expect(answer).toMatchObject({ body: { choices: [{ index: 0, text: '', finish_reason: 'stop' }] } })
  })
})

test.each<[string, string]>([
  ['a page', '<!doctype html><h1>It works</h1>'],
  ['nothing', ''],
  ['half a JSON', '{"id":"c1","choices":[{"index":0,"mess'],
  ['a list', '[]'],
  ['null', 'null'],
  ['no choices', '{"id":"c1"}'],
  ['choices that are no list', '{"choices":{}}'],
  ['an empty list of choices', '{"choices":[]}'],
])('an answer that is %s cannot be read', (_, body) => {
  expect(decode(body)).toMatchObject({ code: 'upstream_invalid_response', retryable: true })
})

test.each<[unknown, string]>([
  [{ error: { message: 'm', type: 'server_error' } }, 'upstream_error'],
  [{ error: { message: 'm', code: 400 } }, 'invalid_request'],
  [{ error: { message: 'm', type: 'invalid_request_error' } }, 'invalid_request'],
  [{ error: { message: 'm', status: 429 } }, 'provider_rate_limited'],
  [{ error: 'overloaded' }, 'upstream_error'],
  [{ object: 'error', message: 'm', type: 'NotFoundError', code: 404 }, 'model_not_found'],
  [{ ...head, choices: [{ ...choice, finish_reason: 'error', error: { code: 502, message: 'm' } }] }, 'upstream_error'],
  [{ detail: 'boom' }, 'upstream_error'],
  [{ message: 'boom' }, 'upstream_error'],
])('%j under HTTP 200 is an error', (body, code) => {
  expect(decode(body)).toMatchObject({ code })
})

test('an error field that is null is none', () => {
  expect(decode({ ...head, choices: [choice], error: null })).toMatchObject({ same: true })
})
