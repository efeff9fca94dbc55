import { describe, expect, test } from 'bun:test'
import type { Call, Endpoint } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import type { JsonValue } from '#lib/json.ts'
import { PROVIDERS } from '#providers/index.ts'
import { OPENAI_PARAMETERS } from '#providers/parameters.ts'
import type { Provider } from '#providers/provider.ts'
import { call, server, target } from '#tests/support/calls.ts'

/** A value of each parameter that has an effect. */
const VALUES: Readonly<Record<string, JsonValue>> = {
  messages: [{ role: 'user', content: 'Hi' }],
  prompt: 'Hi',
  input: 'Hi',
  stream: true,
  stream_options: { include_usage: true },
  max_completion_tokens: 5,
  max_tokens: 5,
  temperature: 0.5,
  top_p: 0.5,
  frequency_penalty: 0.5,
  presence_penalty: 0.5,
  seed: 3,
  stop: ['x'],
  n: 2,
  logit_bias: { '1': 5 },
  logprobs: true,
  top_logprobs: 2,
  tools: [{ type: 'function', function: { name: 'f' } }],
  tool_choice: 'auto',
  parallel_tool_calls: false,
  functions: [{ name: 'f' }],
  function_call: { name: 'f' },
  response_format: { type: 'json_object' },
  reasoning_effort: 'low',
  verbosity: 'low',
  modalities: ['audio'],
  audio: { voice: 'x', format: 'wav' },
  prediction: { type: 'content', content: 'x' },
  web_search_options: { search_context_size: 'low' },
  user: 'u',
  safety_identifier: 'u',
  metadata: { user_id: 'u' },
  store: true,
  service_tier: 'flex',
  prompt_cache_key: 'k',
  suffix: 'x',
  echo: true,
  best_of: 2,
  encoding_format: 'float',
  dimensions: 3,
}

/** A model of each dialect that looks at the name. */
const MODELS: Readonly<Record<string, string>> = { anthropic: 'claude-sonnet-4-5', gemini: 'gemini-3-flash-preview' }

/** Where a value means something else to one dialect. */
const OWN: Readonly<Record<string, Readonly<Record<string, JsonValue>>>> = { anthropic: { service_tier: 'default' } }

const BARE: Readonly<Record<Endpoint, Call['body']>> = {
  chat: { messages: VALUES.messages },
  completions: { prompt: 'Hi' },
  embeddings: { input: 'Hi' },
}

/** What a provider sends for one parameter beside the least that a call needs. */
function sent(provider: Provider, endpoint: Endpoint, name: string) {
  const value = endpoint === 'completions' && name === 'logprobs' ? 2 : (OWN[provider.name]?.[name] ?? VALUES[name])
  const asksLogprobs = name === 'top_logprobs' && provider.capabilities.logprobs
  const body = { model: 'm', ...BARE[endpoint], ...(asksLogprobs && { logprobs: true }), [name]: value }
  const at = server('a', { kind: provider.name, baseUrl: provider.defaultBaseUrl ?? 'http://a.test/v1' })
  try {
    const { body: text, dropped = [] } = provider.encode(
      call({ endpoint, body, stream: name === 'stream' }),
      target('a', { server: at, upstreamModel: MODELS[provider.name] ?? 'm' }),
      null,
    )
    return { value, body: JSON.parse(text?.join('') ?? ''), dropped, refused: null }
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown
    return { value, body: {}, dropped: [], refused: thrown }
  }
}

/** The value at `options.num_predict`. */
function at(body: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], body)
}

describe.each([...PROVIDERS.values()].map(provider => [provider.name, provider] as const))('%s', (_, provider) => {
  test('has a table for each endpoint that it offers, and an answer for each parameter of it', () => {
    expect(new Set(Object.keys(provider.parameters))).toEqual(new Set<string>(provider.endpoints))
    for (const endpoint of provider.endpoints) {
      expect(Object.keys(provider.parameters[endpoint] ?? {})).toEqual(
        expect.arrayContaining([...OPENAI_PARAMETERS[endpoint]]),
      )
    }
  })

  test.each([...provider.endpoints])(
    'passes a parameter of %s that nobody knows on, or says that it does not',
    endpoint => {
      const name = 'invented_parameter'
      const body = { model: 'm', ...BARE[endpoint], [name]: 1 }
      const at = target('a', {
        server: server('a', { kind: provider.name }),
        upstreamModel: MODELS[provider.name] ?? 'm',
      })

      const { body: text, dropped = [] } = provider.encode(call({ endpoint, body }), at, null)

      expect({ passed: name in JSON.parse(text?.join('') ?? ''), named: dropped.includes(name) }).toEqual(
        dropped.length > 0 ? { passed: false, named: true } : { passed: true, named: false },
      )
    },
  )

  const rows = [...provider.endpoints].flatMap(endpoint =>
    OPENAI_PARAMETERS[endpoint].map(name => [endpoint, name, provider.parameters[endpoint]?.[name]] as const),
  )

  test.each(rows)('does with %s %s as its table says', (endpoint, name, parameter) => {
    const { value, body, dropped, refused } = sent(provider, endpoint, name)

    switch (parameter?.treatment) {
      case 'refused':
        expect(refused).toMatchObject({ code: 'unsupported_parameter' })
        break
      case 'dropped':
        expect(dropped).toContain(name)
        expect(body).not.toHaveProperty(name)
        break
      case 'renamed':
        expect(at(body, parameter.to ?? '') ?? at(body, `requests.0.${parameter.to}`)).toEqual(value)
        expect(body).not.toHaveProperty(name)
        break
      case 'passed':
        expect(refused ?? at(body, name)).toEqual(value)
        break
      default:
        expect(parameter?.note).toBeString()
        expect(refused).toBeNull()
        expect(dropped).not.toContain(name)
    }
  })
})
