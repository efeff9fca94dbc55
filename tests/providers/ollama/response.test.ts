import { describe, expect, test } from 'bun:test'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { ollama } from '#providers/ollama/index.ts'
import { toBase64Vector } from '#providers/openai_compatible/embedding.ts'
import { callOf, isModelCall, replay, textsOf } from '#tests/providers/replay.ts'
import { call, server } from '#tests/support/calls.ts'
import { recordedCase, recordedCases } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

const head = { model: 'm', created_at: '2026-01-01T00:00:00Z', done: true, done_reason: 'stop' }

function decode(body: unknown, more: Partial<Call> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const answer = ollama.decode(call({ stream: false, ...more }), text)
  return answer instanceof GatewayError ? answer : { ...answer, body: JSON.parse(answer.text) }
}

describe('a chat', () => {
  test('becomes a completion as OpenAI sends it', () => {
    const answer = decode({
      ...head,
      message: { role: 'assistant', content: 'Hi' },
      prompt_eval_count: 3,
      eval_count: 2,
    })

    expect(answer).toMatchObject({
      kind: 'finish',
      usage: { input: 3, output: 2, estimated: false },
      body: {
        id: expect.stringMatching(/^chatcmpl-[0-9a-f]{24}$/),
        object: 'chat.completion',
        created: 1767225600,
        model: 'm',
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: 'Hi', refusal: null },
            logprobs: null,
            finish_reason: 'stop',
          },
        ],
        usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
      },
    })
  })

  test('with tool calls has ids, arguments as text, and no content', () => {
    const tool_calls = [
      { function: { name: 'f', arguments: { a: 1 } } },
      { id: 'x', function: { name: 'g', arguments: {} } },
    ]

    const answer = decode({ ...head, message: { role: 'assistant', content: '', tool_calls } })

    expect(answer).toMatchObject({ body: { choices: [{ finish_reason: 'tool_calls' }] } })
    expect('body' in answer && answer.body.choices[0].message).toEqual({
      role: 'assistant',
      content: null,
      refusal: null,
      tool_calls: [
        { id: expect.stringMatching(/^call_/), type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
        { id: 'x', type: 'function', function: { name: 'g', arguments: '{}' } },
      ],
    })
  })
})

describe('embeddings', () => {
  const body = {
    model: 'm',
    embeddings: [
      [0.5, 1],
      [1, 0],
    ],
    prompt_eval_count: 7,
  }

  test.each([
    ['float', [0.5, 1], [1, 0]],
    ['base64', toBase64Vector([0.5, 1]), toBase64Vector([1, 0])],
  ])('come as %s when that was asked', (encoding_format, first, second) => {
    expect(decode(body, { endpoint: 'embeddings', body: { input: ['a', 'b'], encoding_format } })).toMatchObject({
      usage: { input: 7, output: 0 },
      body: {
        object: 'list',
        model: 'm',
        data: [
          { object: 'embedding', index: 0, embedding: first },
          { object: 'embedding', index: 1, embedding: second },
        ],
        usage: { prompt_tokens: 7, total_tokens: 7 },
      },
    })
  })

  test.each([{ embeddings: [] }, { embeddings: [[1], [2], [3]] }, { embeddings: [1, 2] }, {}])(
    'cannot be read from %j',
    broken => {
      const answer = decode({ ...head, ...broken }, { endpoint: 'embeddings', body: { input: ['a', 'b'] } })

      expect(answer).toMatchObject({ code: 'upstream_invalid_response' })
    },
  )
})

test.each<[string, unknown, Call['endpoint']]>([
  ['a page', '<html>', 'chat'],
  ['nothing', '', 'chat'],
  ['no message', head, 'chat'],
  ['no response', head, 'completions'],
])('an answer that is %s cannot be read', (_, body, endpoint) => {
  expect(decode(body, { endpoint })).toMatchObject({ code: 'upstream_invalid_response' })
})

test('an error under HTTP 200 is an error', () => {
  expect(decode({ error: 'out of memory' })).toMatchObject({ code: 'upstream_error' })
})

describe('an answer outside 2xx', () => {
  const errorOf = (status: number, error: string) =>
    ollama.decodeError({ status, header: () => null }, JSON.stringify({ error }))

  test.each<[number, string, object]>([
    [404, "model 'x' not found", { code: 'model_not_found', param: 'model' }],
    [400, '"x" does not support tools', { code: 'unsupported_parameter', param: 'tools' }],
    [400, 'registry.test/x does not support thinking', { code: 'unsupported_parameter', param: 'reasoning_effort' }],
    [400, '"x" does not support chat', { code: 'unsupported_parameter', param: 'model' }],
    [400, 'the input length exceeds the context length', { code: 'context_length_exceeded' }],
    [400, 'invalid options', { code: 'invalid_request' }],
    [401, 'unauthorized', { code: 'upstream_auth_failed' }],
    [429, 'too many concurrent requests', { code: 'provider_rate_limited' }],
    [500, 'model requires more system memory than is available', { code: 'upstream_error', retryable: true }],
    [
      503,
      'server busy, please try again.  maximum pending requests exceeded',
      { code: 'upstream_error', retryable: true },
    ],
  ])('HTTP %i %j', (status, words, expected) => {
    expect(errorOf(status, words)).toMatchObject(expected)
  })

  test('may be a page of HTML', () => {
    expect(ollama.decodeError({ status: 404, header: () => null }, '404 page not found')).toMatchObject({
      code: 'upstream_invalid_response',
    })
  })
})

describe('the list of models', () => {
  const listed = (models: unknown) => ollama.catalog.decodeList(JSON.stringify({ models }))

  test('is read with all that a server of today says', () => {
    const item = {
      name: 'a:1b',
      model: 'a:1b',
      modified_at: '2026-01-01T00:00:00Z',
      details: { family: 'llama', context_length: 8192 },
      capabilities: ['completion'],
    }

    expect(listed([item])).toEqual([
      {
        id: 'a:1b',
        contextLength: 8192,
        created: 1767225600,
        ownedBy: 'library',
        embedding: false,
        abilities: { tools: false, vision: false },
      },
    ])
  })

  test.each<[object, boolean]>([
    [{ name: 'a', capabilities: ['embedding'] }, true],
    [{ name: 'nomic-embed-text', capabilities: ['completion'] }, false],
    [{ name: 'nomic-embed-text' }, true],
    [{ name: 'all-minilm:l6' }, true],
    [{ name: 'x', details: { family: 'nomic-bert' } }, true],
    [{ name: 'llama3' }, false],
  ])('says of the model %j whether it makes embeddings: %p', (item, embedding) => {
    expect(listed([item])).toMatchObject([{ embedding }])
  })

  test('leaves out what has no name', () => {
    expect(listed([{}, null, { name: '' }])).toEqual([])
  })

  test.each(['', '<html>', '{}', '[]', '{"models":{}}'])('is not read from the body %j', body => {
    expect(() => ollama.catalog.decodeList(body)).toThrow('no list of models')
  })

  test('is asked for below the address', () => {
    const at = server('o', { baseUrl: 'http://h:11434', secrets: ['k'] })

    expect(ollama.catalog.probes(at).map(probe => probe.url)).toEqual([
      'http://h:11434/api/version',
      'http://h:11434/api/tags',
    ])
    expect(ollama.catalog.list(at, 'k')).toMatchObject({
      method: 'GET',
      url: 'http://h:11434/api/tags',
      headers: { authorization: 'Bearer k' },
    })
  })
})

describe.skipIf(sharedDir() === null)('recorded', () => {
  const answers = recordedCases('ollama').filter(each => isModelCall(each) && each.status === 200 && !each.streamed)

  test.each(answers.map(each => [each.name, each] as const))('%s is read as a whole answer', (_, recorded) => {
    const answer = ollama.decode(callOf(recorded), recorded.text)

    if (answer instanceof GatewayError) throw answer
    const body = JSON.parse(answer.text)
    const given = JSON.parse(recorded.text)
    if (given.embeddings) expect(body.data).toHaveLength(given.embeddings.length)
    else
      expect(body.choices[0].message?.content ?? body.choices[0].text ?? '').toBe(
        given.message?.content ?? given.response,
      )
  })

  test('a stream with tools pleases a strict client', () => {
    const recorded = recordedCase('ollama/chat-stream-tools-parallel')

    const { frames } = replay(ollama, callOf(recorded), recorded.text)

    expect(strictProblems(textsOf(frames))).toEqual([])
  })

  test('thinking is reasoning_content', () => {
    const answer = decode(recordedCase('ollama/chat-thinking').text)

    expect('body' in answer && answer.body.choices[0].message.reasoning_content).toStartWith(
      "Here's a thinking process",
    )
  })

  test('a model that is missing is not found', () => {
    const recorded = recordedCase('ollama/error-404-model')

    expect(ollama.decodeError({ status: 404, header: () => null }, recorded.text)).toMatchObject({
      code: 'model_not_found',
      message: "model 'nonexistent-model:latest' not found",
    })
  })

  test('the list of models', () => {
    const models = ollama.catalog.decodeList(recordedCase('ollama/tags').text)

    expect(models.map(({ id, ownedBy }) => [id, ownedBy])).toEqual([
      ['vatistasdim/Cipher:latest', 'vatistasdim'],
      ['phi4:latest', 'library'],
      ['gemma:latest', 'library'],
      ['llama3:latest', 'library'],
    ])
  })
})
