import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { sha256 } from '#lib/hash.ts'
import type { JsonObject } from '#lib/json.ts'
import { parameters } from '#providers/anthropic/parameters.ts'
import { anthropic, chat, claude, sent } from '#tests/providers/anthropic/cases.ts'

const OLD = 'claude-sonnet-4-20250514'
const MIDDLE = 'claude-sonnet-4-5-20250929'
const NEW = 'claude-opus-4-7'

function errorOf(body: JsonObject, model = MIDDLE): GatewayError {
  try {
    sent(body, model)
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown
  }
  throw new Error('nothing was refused')
}

describe('the request', () => {
  test('goes to the Messages API, with the key and the version, without what the client sent', () => {
    const outgoing = anthropic.encode(chat({}, { stream: true, traceparent: '00-a-b-01' }), claude(OLD), 'sk-ant-api')

    expect([outgoing.method, outgoing.url]).toEqual(['POST', 'https://api.anthropic.com/v1/messages'])
    expect(outgoing.headers).toEqual({
      accept: 'text/event-stream, application/json',
      'accept-encoding': 'identity',
      'content-type': 'application/json',
      'x-api-key': 'sk-ant-api',
      'anthropic-version': '2023-06-01',
      traceparent: '00-a-b-01',
    })
  })

  test('carries the token of a login as one', () => {
    const { headers } = anthropic.encode(chat({}), claude(OLD), 'sk-ant-oat01-abc')

    expect(headers).toMatchObject({ authorization: 'Bearer sk-ant-oat01-abc' })
    expect(headers).not.toHaveProperty('x-api-key')
  })

  test.each(['authorization', 'X-API-Key'])('leaves a credential alone that the server was given as %s', name => {
    const at = claude(OLD)
    const own = { ...at, server: { ...at.server, headers: { [name]: 'own', 'anthropic-version': '2026-10-21' } } }

    const { headers } = anthropic.encode(chat({}), own, 'sk-ant-api')

    expect(headers[name.toLowerCase()]).toBe('own')
    expect(Object.values(headers)).not.toContain('sk-ant-api')
    expect(headers['anthropic-version']).toBe('2026-10-21')
  })

  test('passes on what the caller and the server switch on of the new', () => {
    const at = claude(OLD)
    const own = { ...at, server: { ...at.server, headers: { 'anthropic-beta': 'context-1m-2025-08-07' } } }
    const call = chat({}, { headers: { 'anthropic-beta': 'files-api-2025-04-14' } })

    expect(anthropic.encode(call, at, null).headers['anthropic-beta']).toBe('files-api-2025-04-14')
    expect(anthropic.encode(call, own, null).headers['anthropic-beta']).toBe(
      'context-1m-2025-08-07,files-api-2025-04-14',
    )
  })

  test.each([
    ['https://api.anthropic.com', 'https://api.anthropic.com/v1'],
    ['https://api.anthropic.com/v1/', 'https://api.anthropic.com/v1'],
    ['https://api.anthropic.com/v1/messages', 'https://api.anthropic.com/v1'],
    ['https://api.deepseek.com/anthropic', 'https://api.deepseek.com/anthropic/v1'],
  ])('finds the base address of the API from %s', (given, base) => {
    expect(anthropic.normalizeBaseUrl(given)).toBe(base)
  })
})

describe('the longest answer', () => {
  test.each([
    ['claude-opus-4-7', 128_000],
    ['claude-haiku-4-5-20251001', 64_000],
    ['claude-opus-4-1-20250805', 32_000],
    ['claude-opus-4-20250514', 32_000],
    ['claude-sonnet-4-20250514', 64_000],
    ['claude-3-7-sonnet-latest', 64_000],
    ['claude-3-5-haiku-20241022', 8192],
    ['claude-3-haiku-20240307', 4096],
    ['anthropic.claude-v2:1', 4096],
    ['us.anthropic.claude-opus-4-5-20251101-v1:0', 64_000],
    ['claude-of-the-future', 128_000],
    ['kimi-k2', 4096],
  ])('is what the model can write, when the caller does not say: %s', (model, max_tokens) => {
    expect(sent({}, model).body.max_tokens).toBe(max_tokens)
  })

  test('is what the caller says, up to what the model can', () => {
    expect(sent({ max_completion_tokens: 10, max_tokens: 20 }).body.max_tokens).toBe(10)
    expect(sent({ max_tokens: 100_000 }, MIDDLE).body.max_tokens).toBe(64_000)
    expect(sent({ max_tokens: 100_000 }, 'kimi-k2').body.max_tokens).toBe(100_000)
  })
})

describe('sampling', () => {
  test.each([
    [OLD, { temperature: 1.7, top_p: 0.5, top_k: 9 }, { temperature: 1, top_p: 0.5, top_k: 9 }, []],
    [OLD, { temperature: 0 }, { temperature: 0 }, []],
    [MIDDLE, { temperature: 0.5, top_p: 0.5 }, { temperature: 0.5 }, ['top_p']],
    [MIDDLE, { top_p: 0.5, top_k: 3 }, { top_p: 0.5, top_k: 3 }, []],
    [NEW, { temperature: 0.5, top_p: 0.5, top_k: 3 }, {}, ['temperature', 'top_p', 'top_k']],
  ])('keeps to what the model takes: %s, %j', (model, given, taken, left) => {
    const { body, dropped } = sent(given, model)

    const { temperature, top_p, top_k } = body
    expect(JSON.parse(JSON.stringify({ temperature, top_p, top_k }))).toEqual(taken as object)
    expect(dropped).toEqual(left as string[])
  })

  test.each([
    [{ temperature: 0.5, top_k: 3 }, {}, ['temperature', 'top_k']],
    [{ temperature: 2 }, { temperature: 1 }, []],
    [{ top_p: 0.97 }, { top_p: 0.97 }, []],
    [{ top_p: 0.5 }, {}, ['top_p']],
  ])('keeps to what thinking leaves free: %j', (given, taken, left) => {
    const { body, dropped } = sent({ ...given, reasoning_effort: 'low' }, MIDDLE)

    expect(body).toMatchObject(taken)
    expect(dropped).toEqual(left)
  })
})

describe('other parameters', () => {
  test('stop where they say, and not at white space', () => {
    expect(sent({ stop: 'END' }).body.stop_sequences).toEqual(['END'])
    expect(sent({ stop: ['a', '\n', ''] })).toMatchObject({ body: { stop_sequences: ['a'] }, dropped: ['stop'] })
    expect(sent({ stop: null }).body).not.toHaveProperty('stop_sequences')
  })

  test.each([
    [{ user: 'u' }, { user_id: 'u' }, []],
    [{ user: 'u', safety_identifier: 's' }, { user_id: 's' }, []],
    [{ metadata: { user_id: 'm', team: 't' }, user: 'u' }, { user_id: 'm' }, ['metadata']],
    [{ user: 'ann@example.com' }, { user_id: sha256('ann@example.com') }, []],
    [{ user: '+49 (0)30 123-456' }, { user_id: sha256('+49 (0)30 123-456') }, []],
    [{ metadata: { team: 't' } }, undefined, ['metadata']],
  ])('name the user to the API: %j', (given, metadata, left) => {
    const { body, dropped } = sent(given)

    expect(body.metadata).toEqual(metadata)
    expect(dropped).toEqual(left)
  })

  test.each([
    ['auto', 'auto', []],
    ['default', 'standard_only', []],
    ['flex', undefined, ['service_tier']],
  ])('are translated to the service tier of the API: %s', (service_tier, tier, left) => {
    const { body, dropped } = sent({ service_tier })

    expect([body.service_tier, dropped]).toEqual([tier, left])
  })

  test("of the API's own pass, those of nobody are named", () => {
    const { body, dropped } = sent({
      context_management: { edits: [] },
      mcp_servers: [{ type: 'url' }],
      output_config: { effort: 'low' },
      min_p: 0.1,
      seed: 7,
      frequency_penalty: 0,
      presence_penalty: 1,
      store: false,
      stream_options: { include_usage: true },
      fallbacks: ['other'],
    })

    expect(body).toMatchObject({
      context_management: { edits: [] },
      mcp_servers: [{ type: 'url' }],
      output_config: { effort: 'low' },
    })
    expect(dropped).toEqual(['min_p', 'seed', 'presence_penalty'])
    expect(Object.keys(body).sort()).toEqual(
      ['context_management', 'max_tokens', 'mcp_servers', 'messages', 'model', 'output_config'].sort(),
    )
  })

  test.each([
    [{ n: 2 }, 'n'],
    [{ logprobs: true }, 'logprobs'],
    [{ logit_bias: { 5: 1 } }, 'logit_bias'],
    [{ modalities: ['text', 'audio'] }, 'modalities'],
    [{ audio: { voice: 'alloy' } }, 'audio'],
    [{ functions: [{ name: 'f' }] }, 'functions'],
    [{ web_search_options: {} }, 'web_search_options'],
    [{ response_format: { type: 'grammar' } }, 'response_format'],
    [{ tools: [{ type: 'custom', custom: { name: 'c' } }] }, 'tools.0'],
  ])('that change the answer are refused: %j', (given, param) => {
    expect(errorOf(given as JsonObject)).toMatchObject({ code: 'unsupported_parameter', param })
  })

  test.each([{ n: 1 }, { logprobs: false }, { logit_bias: {} }, { modalities: ['text'] }, { functions: [] }])(
    'that change nothing are not: %j',
    given => {
      expect(sent(given as JsonObject).dropped).toEqual([])
    },
  )
})

test('the table says what happens', () => {
  const table = parameters.chat ?? {}
  const value = { top: 'x' }

  for (const [name, { treatment }] of Object.entries(table)) {
    if (treatment !== 'passed' && treatment !== 'dropped') continue
    const { body, dropped } = sent({ [name]: value })
    expect([name, body[name] !== undefined, dropped]).toEqual([
      name,
      treatment === 'passed',
      treatment === 'passed' ? [] : [name],
    ])
  }
})

describe('an answer that was begun', () => {
  const delivered = { text: 'It was a dark and stormy' }
  const encode = (body: JsonObject, model: string, text = delivered.text) =>
    JSON.parse(anthropic.encode(chat(body), claude(model), null, { text }).body?.join('') ?? '')

  test('goes on from there, with the tokens that are left', () => {
    const { messages, max_tokens } = encode({ max_tokens: 100 }, MIDDLE)

    expect(messages.at(-1)).toEqual({ role: 'assistant', content: [{ type: 'text', text: delivered.text }] })
    expect(max_tokens).toBe(93)
  })

  test.each([
    ['the model does not know how', {}, 'claude-opus-4-6', delivered.text],
    ['it thinks', { reasoning_effort: 'low' }, MIDDLE, delivered.text],
    ['it ends with white space', {}, MIDDLE, 'It was '],
  ])('is refused, so that the model begins anew, where %s', (_, body, model, text) => {
    expect(() => encode(body as JsonObject, model, text)).toThrow('the beginning of an answer')
  })
})
