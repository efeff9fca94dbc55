import { describe, expect, test } from 'bun:test'
import type { Code, GatewayError } from '#core/errors.ts'
import { isLimited, ruleFor } from '#policies/rules.ts'
import { PROVIDERS } from '#providers/index.ts'
import { callOf, replay } from '#tests/providers/replay.ts'
import { call } from '#tests/support/calls.ts'
import { type RecordedCase, recordedCase, recordedCases } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'

/** What an error means for retries and health, whoever says it in whatever words. */
interface Meaning {
  readonly code: Code
  /** Whether another target may be tried. */
  readonly retryable: boolean
  /** Whether the same target may be tried again. */
  readonly again: boolean
  /** Whether it speaks against the target's health. */
  readonly breaks: boolean
  /** Whether another credential may do better. */
  readonly rotates: boolean
  /** Whether the target is left alone for a while. */
  readonly limited: boolean
}

const OF_THE_CALLER = { retryable: false, again: false, breaks: false, rotates: false, limited: false }

const MEANINGS = {
  'context length': { code: 'context_length_exceeded', ...OF_THE_CALLER },
  'content policy': { code: 'content_policy_violation', ...OF_THE_CALLER },
  'bad request': { code: 'invalid_request', ...OF_THE_CALLER },
  'unknown parameter': { code: 'unsupported_parameter', ...OF_THE_CALLER },
  'unknown model': { code: 'model_not_found', ...OF_THE_CALLER },
  'rate limited': {
    code: 'provider_rate_limited',
    retryable: true,
    again: true,
    breaks: false,
    rotates: true,
    limited: true,
  },
  quota: { code: 'insufficient_quota', retryable: true, again: false, breaks: false, rotates: true, limited: true },
  'bad credential': {
    code: 'upstream_auth_failed',
    retryable: true,
    again: false,
    breaks: false,
    rotates: true,
    limited: false,
  },
  'wrong address': {
    code: 'upstream_invalid_response',
    retryable: true,
    again: true,
    breaks: true,
    rotates: false,
    limited: false,
  },
  overloaded: { code: 'upstream_error', retryable: true, again: true, breaks: true, rotates: false, limited: false },
} as const satisfies Readonly<Record<string, Meaning>>

const RECORDED: Readonly<Record<string, keyof typeof MEANINGS>> = {
  'openai/error-400-context-length': 'context length',
  'openai/error-400-image-download': 'bad request',
  'openai/error-400-unsupported-max-tokens': 'unknown parameter',
  'openai/error-401-bad-key': 'bad credential',
  'openai/error-401-bad-key-stream': 'bad credential',
  'openai/error-404-model': 'unknown model',
  'openai/responses-400-model': 'bad request',
  'openai/completions-400-max-tokens': 'bad request',
  'openai/embeddings-400-encoding-format': 'bad request',
  'openai/chat-stream-error-first-chunk': 'overloaded',
  'openai-compatible/azure/chat-prompt-filtered': 'content policy',
  'openai-compatible/azure/error-429': 'rate limited',
  'openai-compatible/groq/chat-stream-error-event': 'bad request',
  'openai-compatible/groq/error-400-tool-use-failed': 'bad request',
  'openai-compatible/llama.cpp/error-503-loading': 'overloaded',
  'openai-compatible/openrouter/error-429-upstream': 'rate limited',
  'openai-compatible/vllm/error-400-context': 'context length',
  'openai-compatible/xai/error-400-key': 'bad credential',
  'deepseek/error-400-context-length': 'context length',
  'ollama/error-404-model': 'unknown model',
  'anthropic/error-400-prompt-too-long': 'context length',
  'anthropic/error-401': 'bad credential',
  'anthropic/error-529-overloaded': 'overloaded',
  'anthropic/stream-error-event-overloaded': 'overloaded',
  'gemini/error-400-api-key': 'bad credential',
  'gemini/error-429-quota': 'rate limited',
}

/** What each dialect says for the same thing, where nothing was recorded: status and body as documented. */
const DOCUMENTED: readonly (readonly [string, number, unknown, keyof typeof MEANINGS])[] = [
  ['openai', 429, { error: { message: 'Rate limit reached', code: 'rate_limit_exceeded' } }, 'rate limited'],
  ['openai', 429, { error: { message: 'You exceeded your current quota', code: 'insufficient_quota' } }, 'quota'],
  ['openai', 400, { error: { message: 'Rejected', code: 'content_policy_violation' } }, 'content policy'],
  ['openai', 503, { error: { message: 'The engine is currently overloaded' } }, 'overloaded'],
  ['openai_compatible', 403, { error: { message: 'requires moderation', code: 403 } }, 'content policy'],
  ['openai_compatible', 402, { error: { message: 'Insufficient credits', code: 402 } }, 'bad credential'],
  ['openai_compatible', 405, { error: { message: 'Method Not Allowed' } }, 'wrong address'],
  ['anthropic', 404, { type: 'error', error: { type: 'not_found_error', message: 'Not Found' } }, 'wrong address'],
  ['anthropic', 404, { type: 'error', error: { type: 'not_found_error', message: 'model: opus' } }, 'unknown model'],
  [
    'anthropic',
    405,
    { type: 'error', error: { type: 'invalid_request_error', message: 'Method Not Allowed' } },
    'wrong address',
  ],
  ['gemini', 405, { error: { code: 405, message: 'Method not allowed.' } }, 'wrong address'],
  ['deepseek', 401, { error: { message: 'Authentication Fails' } }, 'bad credential'],
  ['deepseek', 402, { error: { message: 'Insufficient Balance' } }, 'bad credential'],
  ['deepseek', 429, { error: { message: 'Rate Limit Reached' } }, 'rate limited'],
  ['deepseek', 503, { error: { message: 'Server Overloaded' } }, 'overloaded'],
  ['anthropic', 429, { type: 'error', error: { type: 'rate_limit_error', message: 'slow' } }, 'rate limited'],
  ['gemini', 503, { error: { code: 503, message: 'overloaded', status: 'UNAVAILABLE' } }, 'overloaded'],
  ['ollama', 401, { error: 'unauthorized' }, 'bad credential'],
  ['ollama', 429, { error: 'too many requests' }, 'rate limited'],
  ['ollama', 503, { error: 'server busy, please try again' }, 'overloaded'],
]

describe.skipIf(sharedDir() === null)('a recorded error means the same to retries and health', () => {
  test.each(Object.entries(RECORDED))('%s: %s', (name, meaning) => {
    const recorded = recordedCase(name)

    expect(meaningOf(errorOf(recorded))).toEqual(MEANINGS[meaning])
  })

  test('and every recorded failure of each dialect is listed here', () => {
    const failed = ['openai', 'openai-compatible', 'anthropic', 'gemini', 'deepseek', 'ollama'].flatMap(recordedCases)
    const names = failed.filter(({ status }) => status >= 400).map(({ name }) => name)

    expect(names.filter(name => RECORDED[name] === undefined)).toEqual([])
  })

  test('with the wait that it asks for', () => {
    const azure = recordedCase('openai-compatible/azure/error-429')
    const seconds = { ...azure, headers: { 'retry-after': '7' } }

    // The header in milliseconds is the finer one.
    expect(errorOf(azure).retryAfterMs).toBe(0)
    expect(errorOf(seconds).retryAfterMs).toBe(7000)
  })
})

test.each(DOCUMENTED)('%s: HTTP %d %j is %s', (kind, status, body, meaning) => {
  const error = PROVIDERS.get(kind)?.decodeError({ status, header: () => null }, JSON.stringify(body))

  expect(error && meaningOf(error)).toEqual(MEANINGS[meaning])
})

test('every dialect is among them', () => {
  const kinds = new Set(DOCUMENTED.map(([kind]) => kind))

  // The built-in model never fails.
  expect([...PROVIDERS.keys()].filter(kind => !kinds.has(kind) && kind !== 'demo')).toEqual([])
})

function errorOf(recorded: RecordedCase): GatewayError {
  const [folder = ''] = recorded.name.split('/')
  const provider = PROVIDERS.get(folder.replace('-', '_'))
  if (provider === undefined) throw new Error(`${folder} is not built`)
  if (recorded.status >= 400) {
    const header = (name: string) => recorded.headers[name] ?? null
    return provider.decodeError({ status: recorded.status, header }, recorded.text)
  }
  const asked = callOf(recorded)
  const last = recorded.streamed
    ? replay(provider, asked, recorded.text).frames.at(-1)
    : provider.decode(asked, recorded.text)
  if (last instanceof Error) return last
  if (last?.kind !== 'error') throw new Error(`${recorded.name} did not fail`)
  return last.error
}

function meaningOf(error: GatewayError): Meaning {
  const { again, breaks, rotates } = ruleFor(error.code)
  return { code: error.code, retryable: error.retryable, again, breaks, rotates, limited: isLimited(error) }
}

test.each([...PROVIDERS.keys()])('%s says nothing of what stands in an answer that cannot be read', kind => {
  const read = PROVIDERS.get(kind)?.decode(call(), 'Your diagnosis is')

  expect(read).toMatchObject({ code: 'upstream_invalid_response', cause: 'no JSON object: 17 characters' })
})
