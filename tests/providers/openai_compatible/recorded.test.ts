import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import {
  callOf,
  contentOf,
  dataFrames,
  endpointOf,
  isModelCall,
  replay,
  resultOf,
  textsOf,
} from '#tests/providers/replay.ts'
import { server, target } from '#tests/support/calls.ts'
import { chunkProblems, plainSchemas, schemaProblems, streamSchemas } from '#tests/support/openai-schema.ts'
import { recordedCase, recordedCases } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { splitsOf } from '#tests/support/splits.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

const cases = ['openai', 'openai-compatible', 'deepseek'].flatMap(recordedCases).filter(isModelCall)
const streams = cases.filter(({ streamed, status }) => streamed && status === 200)
const answers = cases.filter(({ streamed, status }) => !streamed && status === 200)
const failures = cases.filter(({ status }) => status !== 200)

/** Streams that were recorded failing: what the caller has to be told. */
const FAILED: Readonly<Record<string, string>> = {
  'openai/chat-stream-error-first-chunk': 'upstream_error',
  'openai-compatible/groq/chat-stream-error-event': 'invalid_request',
}
/** Recorded without its last events. */
const CUT = new Set(['openai-compatible/tgi/chat-stream-tool-chunks'])

function textOf(recorded: { readonly name: string; readonly text: string }): string {
  return CUT.has(recorded.name) ? `${recorded.text}data: [DONE]\n\n` : recorded.text
}

describe.skipIf(sharedDir() === null)('recorded streams', () => {
  const whole = streams.filter(({ name }) => FAILED[name] === undefined)

  for (const usage of [false, true]) {
    test.each(whole.map(each => [each.name, each] as const))(
      `please a strict client that ${usage ? 'asked' : 'did not ask'} for usage: %s`,
      (_, recorded) => {
        const { frames, skipped } = replay(openaiCompatible, callOf(recorded, { wantsUsage: usage }), textOf(recorded))

        const completions = endpointOf(recorded) === 'completions'
        expect(skipped).toBe(0)
        expect(strictProblems(textsOf(frames, usage), { completions, usage })).toEqual([])
        expect(chunkProblems(streamSchemas[completions ? 'completions' : 'chat'], textsOf(frames, usage))).toEqual([])
      },
    )
  }

  test.each(streams.map(each => [each.name, each] as const))('do not depend on the split: %s', (_, recorded) => {
    const asked = callOf(recorded)
    const expected = resultOf(replay(openaiCompatible, asked, textOf(recorded)))

    for (const split of splitsOf(textOf(recorded))) {
      expect(resultOf(replay(openaiCompatible, asked, textOf(recorded), split))).toBe(expected)
    }
    expect(resultOf(replay(openaiCompatible, asked, textOf(recorded), 'every-byte'))).toBe(expected)
  })

  test.each(whole.map(each => [each.name, each] as const))('keep the text that was recorded: %s', (_, recorded) => {
    const { frames } = replay(openaiCompatible, callOf(recorded), textOf(recorded))

    const sent = [...textOf(recorded).matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data ?? ''))
    const content = sent.flatMap(chunk => chunk.choices ?? []).map(choice => choice.text ?? choice.delta?.content ?? '')
    expect(contentOf(frames)).toBe(content.join(''))
  })

  test.each(Object.entries(FAILED))('tell their failure: %s is %s', (name, code) => {
    const recorded = recordedCase(name)

    const { frames } = replay(openaiCompatible, callOf(recorded), recorded.text)

    const last = frames.at(-1)
    expect(last?.kind === 'error' && last.error.code).toBe(code as never)
    expect(frames.filter(frame => frame.kind === 'error')).toHaveLength(1)
  })

  test('go on byte for byte where they obey the rules', () => {
    const recorded = recordedCase('openai/chat-stream-text')

    const { frames } = replay(openaiCompatible, callOf(recorded), recorded.text)

    expect(`${textsOf(frames).join('')}data: [DONE]\n\n`).toBe(recorded.text.trimEnd().concat('\n\n'))
  })

  test.each([
    ['openai/chat-stream-usage', { input: 12, output: 5 }],
    ['openai-compatible/mistral/chat-stream', { input: 22, output: 8 }],
    ['openai-compatible/groq/chat-stream-exact', { input: 38, output: 4 }],
    ['openai-compatible/openrouter/chat-stream', { input: 15, output: 9 }],
    ['openai-compatible/perplexity/chat-stream', { input: 8, output: 5 }],
    ['openai-compatible/gpustack/chat-stream-reasoning', { input: 15, output: 171, reasoning: 160 }],
    ['openai-compatible/xai/chat-stream-tool-reasoning', { input: 1, cacheRead: 290, output: 222, reasoning: 196 }],
    ['deepseek/chat-stream-reasoning', { input: 17, output: 47, reasoning: 34 }],
  ])('have their tokens counted: %s', (name, usage) => {
    const recorded = recordedCase(name)

    const { frames } = replay(openaiCompatible, callOf(recorded), recorded.text)

    const last = dataFrames(frames).at(-1)
    expect(last?.kind).toBe('usage')
    expect(last?.usage).toMatchObject({ estimated: false, ...usage })
  })
})

describe.skipIf(sharedDir() === null)('recorded answers', () => {
  const REFUSED = 'openai-compatible/azure/chat-prompt-filtered'
  /** Answers that break a rule; what is wrong with each, so that nothing else is changed unseen. */
  const CHANGED = new Map([
    ['openai-compatible/azure/chat-content-filter', 'no message'],
    ['openai-compatible/gemini-openai/chat-tool-no-id', 'no content, an empty id'],
    ['openai-compatible/litellm-proxy/chat-text', 'null for tool calls'],
    ['openai-compatible/mistral/chat-reasoning', 'content in parts'],
    ['openai-compatible/mistral/chat-text', 'null for tool calls'],
    ['openai-compatible/mistral/chat-tool-parallel', 'numbered tool calls'],
    ...['parallel', 'reasoning', 'single'].map(what => [`deepseek/chat-tool-${what}`, 'numbered tool calls'] as const),
    ['openai-compatible/ollama-v1/chat-text', 'reasoning'],
    ['openai-compatible/ollama-v1/chat-tool', 'reasoning'],
    ['openai-compatible/tgi/chat-tool', 'an id that is not unique, the end of tool calls'],
    ['openai-compatible/tgi/completions-many-prompts', 'an empty id'],
    ['openai-compatible/together/chat-text', 'eos'],
    ['openai-compatible/vllm/chat-tool-hermes', 'null for annotations'],
  ])

  test.each(answers.filter(({ name }) => name !== REFUSED).map(each => [each.name, each] as const))(
    '%s',
    (_, recorded) => {
      const answer = openaiCompatible.decode(callOf(recorded), recorded.text)

      if (answer instanceof GatewayError) throw answer
      expect(answer.kind).toBe('finish')
      expect(answer.usage?.estimated).toBe(false)
      expect(answer.text === recorded.text).toBe(!CHANGED.has(recorded.name))
      expect(schemaProblems(plainSchemas[endpointOf(recorded)], JSON.parse(answer.text))).toEqual([])
    },
  )

  test('with an error inside are errors', () => {
    const recorded = recordedCase(REFUSED)

    const answer = openaiCompatible.decode(callOf(recorded), recorded.text)

    expect(answer).toBeInstanceOf(GatewayError)
    expect(answer).toMatchObject({ code: 'content_policy_violation', param: 'prompt', retryable: false })
  })

  test('get a message where the filter left none', () => {
    const recorded = recordedCase('openai-compatible/azure/chat-content-filter')

    const answer = openaiCompatible.decode(callOf(recorded), recorded.text)

    expect(answer).toMatchObject({
      chunk: { choices: [{ finish_reason: 'content_filter', message: { role: 'assistant', content: null } }] },
    })
  })

  test('get ids for tool calls without one, the same each time', () => {
    const recorded = recordedCase('openai-compatible/gemini-openai/chat-tool-no-id')
    const idOf = () => {
      const answer = openaiCompatible.decode(callOf(recorded), recorded.text)
      return answer instanceof GatewayError ? answer : answer.chunk.choices?.[0]?.message?.tool_calls?.[0]?.id
    }

    expect(idOf()).toMatch(/^call_[0-9a-f]{24}$/)
    expect(idOf()).toBe(idOf())
  })
})

describe.skipIf(sharedDir() === null)('recorded failures', () => {
  const CODES: Readonly<Record<string, string>> = {
    'openai/completions-400-max-tokens': 'invalid_request',
    'openai/embeddings-400-encoding-format': 'invalid_request',
    'openai/error-400-image-download': 'invalid_request',
    'openai/error-400-unsupported-max-tokens': 'unsupported_parameter',
    'openai/error-401-bad-key': 'upstream_auth_failed',
    'openai/error-401-bad-key-stream': 'upstream_auth_failed',
    'openai/error-404-model': 'model_not_found',
    'openai-compatible/azure/error-429': 'provider_rate_limited',
    'openai-compatible/groq/error-400-tool-use-failed': 'invalid_request',
    'openai-compatible/openrouter/error-429-upstream': 'provider_rate_limited',
    'openai-compatible/vllm/error-400-context': 'context_length_exceeded',
    'deepseek/error-400-context-length': 'context_length_exceeded',
    'openai-compatible/xai/error-400-key': 'upstream_auth_failed',
    'openai/error-400-context-length': 'context_length_exceeded',
    'openai-compatible/llama.cpp/error-503-loading': 'upstream_error',
  }

  test.each(Object.entries(CODES))('of %s get the code %s', (name, code) => {
    const recorded = recordedCase(name)
    const head = { status: recorded.status, header: (wanted: string) => recorded.headers[wanted] ?? null }

    expect(openaiCompatible.decodeError(head, recorded.text)).toMatchObject({ code })
  })

  test('are all listed here', () => {
    expect(failures.map(({ name }) => name).filter(name => CODES[name] === undefined)).toEqual([])
  })
})

describe.skipIf(sharedDir() === null)('recorded requests', () => {
  const asked = cases.filter(({ request, name }) => isObject(request) && !name.startsWith('deepseek'))

  test.each(asked.map(each => [each.name, each] as const))('%s goes out as it was asked', (_, recorded) => {
    const isOpenAi = recorded.name.startsWith('openai/')
    const { stream_options: options, max_tokens, ...rest }: JsonObject = callOf(recorded).body
    const chat = endpointOf(recorded) === 'chat'
    const to = isOpenAi ? 'https://api.openai.com/v1' : 'http://a.test/v1'
    const at = target('a', { upstreamModel: String(rest.model), server: server('a', { baseUrl: to }) })

    const { body, dropped } = openaiCompatible.encode(callOf(recorded), at, null)

    // All that may differ: usage is asked for, and OpenAI gets the newer name of the limit.
    expect(JSON.parse(body?.join('') ?? '')).toEqual({
      ...rest,
      ...(max_tokens !== undefined && { [isOpenAi && chat ? 'max_completion_tokens' : 'max_tokens']: max_tokens }),
      ...(recorded.streamed && { stream_options: { ...(isObject(options) && options), include_usage: true } }),
      ...(!recorded.streamed && options !== undefined && { stream_options: options }),
    })
    expect(dropped ?? []).toEqual([])
  })
})
