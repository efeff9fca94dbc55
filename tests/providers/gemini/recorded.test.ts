import { describe, expect, test } from 'bun:test'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import OpenAI from 'openai'
import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { gemini } from '#providers/gemini/index.ts'
import { fromGeminiResponse } from '#providers/gemini/response.ts'
import { createGeminiStream } from '#providers/gemini/stream.ts'
import type { Provider } from '#providers/provider.ts'
import {
  contentOf,
  dataFrames,
  endpointOf,
  isModelCall,
  type Replay,
  replay,
  resultOf,
  textsOf,
} from '#tests/providers/replay.ts'
import { call, server, target } from '#tests/support/calls.ts'
import { chatCompletion, chatCompletionChunk, embeddingList } from '#tests/support/openai-schema.ts'
import { type RecordedCase, recordedCase, recordedCases } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { splitsOf } from '#tests/support/splits.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'
import { ASKED, normalized } from './asked.ts'

const NOW = 1_800_000_000_000
/** The dialect at a standing clock, so that an answer is the same each time. */
const still: Provider = { ...gemini, stream: asked => createGeminiStream(asked, NOW) }

const cases = recordedCases('gemini').filter(isModelCall)
const good = cases.filter(({ status }) => status === 200)
const BROKEN = 'gemini/stream-error-midstream-json'
const streams = good.filter(({ streamed }) => streamed).map(each => [shortName(each), each] as const)
const whole = streams.filter(([, { name }]) => name !== BROKEN)
const answers = good.filter(({ streamed }) => !streamed).map(each => [shortName(each), each] as const)
const chats = answers.filter(([, each]) => endpointOf(each) === 'chat')

function shortName({ name }: RecordedCase): string {
  return name.slice('gemini/'.length)
}

/** The call of an OpenAI client that means what was recorded; any chat where only the answer was kept. */
function callFor(recorded: RecordedCase, wantsUsage = false) {
  const request = isObject(recorded.request) ? recorded.request : {}
  const asked = ASKED[shortName(recorded)]?.(request) ?? { messages: [{ role: 'user', content: 'Hi' }] }
  const body = { model: modelOf(recorded), ...asked }
  return call({ endpoint: endpointOf(recorded), stream: recorded.streamed, wantsUsage, body })
}

function modelOf({ endpoint }: RecordedCase): string {
  const name = /models\/([^:]+):/.exec(endpoint)?.[1] ?? ''
  return name === '{model}' ? 'gemini-2.5-flash' : name
}

function play(recorded: RecordedCase, usage = false): Replay {
  return replay(still, callFor(recorded, usage), recorded.text)
}

/** The reason for which an answer ended, by case. */
const REASONS: Readonly<Record<string, string>> = {
  'generate-function-call': 'tool_calls',
  'generate-function-call-gemini3-signature': 'tool_calls',
  'generate-function-call-no-args': 'tool_calls',
  'generate-function-call-parallel-mixed': 'tool_calls',
  'generate-function-response-turn': 'stop',
  'generate-image-input': 'stop',
  'generate-implicit-caching': 'stop',
  'generate-logprobs': 'stop',
  'generate-max-tokens': 'length',
  'generate-max-tokens-empty': 'length',
  'generate-prompt-blocked-message': 'content_filter',
  'generate-safety-no-content': 'content_filter',
  'generate-stop-sequences': 'stop',
  'generate-text-exact-bytes': 'stop',
  'generate-thoughts': 'stop',
  'stream-function-call': 'tool_calls',
  'stream-function-call-parallel': 'tool_calls',
  'stream-function-call-signature': 'tool_calls',
  'stream-prompt-blocked': 'content_filter',
  'stream-recitation': 'content_filter',
  'stream-safety-finish': 'content_filter',
  'stream-text-usage-progress': 'stop',
  'stream-thoughts': 'stop',
  'stream-thoughts-function-call': 'tool_calls',
  'stream-utf8': 'stop',
}

describe.skipIf(sharedDir() === null)('recorded requests', () => {
  const asked = cases.filter(({ request }) => request !== null).map(each => [shortName(each), each] as const)

  test.each(asked)('are what is sent for the same in OpenAI’s words: %s', (_, recorded) => {
    const at = target('g', {
      server: server('g', { baseUrl: 'https://g.test/v1beta' }),
      upstreamModel: modelOf(recorded),
    })

    const { url, headers, body, dropped } = gemini.encode(callFor(recorded), at, 'the-key')

    expect(url).toBe(`https://g.test/v1beta/${/models\/\S*$/.exec(recorded.endpoint)?.[0]}`)
    expect(url).not.toContain('key')
    expect(headers).toMatchObject({ 'x-goog-api-key': 'the-key', 'content-type': 'application/json' })
    expect(JSON.parse(body?.join('') ?? '')).toEqual(normalized(recorded.request as JsonObject))
    expect(dropped).toEqual([])
  })

  test('are all compared with what the gateway sends', () => {
    expect(asked.map(([name]) => name).toSorted()).toEqual(Object.keys(ASKED).toSorted())
  })
})

describe.skipIf(sharedDir() === null)('recorded answers', () => {
  test.each(chats)('are what a strict client expects: %s', (name, recorded) => {
    const answer = fromGeminiResponse(callFor(recorded), recorded.text, NOW)

    if (answer instanceof GatewayError) throw answer
    const { choices } = chatCompletion.parse(JSON.parse(answer.text))
    expect(choices.map(choice => choice.finish_reason)).toEqual([REASONS[name] as 'stop'])
    const parts = partsOf(recorded.body)
    expect(choices[0]?.message.content ?? '').toBe(textIn(parts, false))
    expect(choices[0]?.message.reasoning_content ?? '').toBe(textIn(parts, true))
    expect((choices[0]?.message.tool_calls as JsonObject[] | undefined)?.map(toCallPart) ?? []).toEqual(callsIn(parts))
  })

  test('of embeddings keep their vectors, as numbers and as base64', () => {
    const recorded = recordedCase('gemini/embed-batch-dimensions')
    const asked = callFor(recorded)
    const [floats, base64] = [{}, { encoding_format: 'base64' }].map(more => {
      const answer = gemini.decode({ ...asked, body: { ...asked.body, ...more } }, recorded.text)
      if (answer instanceof GatewayError) throw answer
      expect(answer.usage).toMatchObject({ input: 4, output: 0, estimated: true })
      return embeddingList.parse(JSON.parse(answer.text)).data[0]?.embedding
    })

    const { embeddings } = recorded.body as { embeddings: { values: number[] }[] }
    expect(floats).toEqual(embeddings[0]?.values as number[])
    const bytes = new Uint8Array(Buffer.from(String(base64), 'base64'))
    expect(Array.from(new Float32Array(bytes.buffer))).toEqual(
      Array.from(Float32Array.from(embeddings[0]?.values ?? [])),
    )
  })

  test.each([
    ['generate-implicit-caching', { input: 770, cacheRead: 11_243, output: 88, reasoning: 73 }],
    ['generate-text-exact-bytes', { input: 10, cacheRead: 0, output: 31, reasoning: 23 }],
    ['generate-max-tokens-empty', { input: 15, output: 2, reasoning: 2 }],
    ['generate-safety-no-content', { input: 8, output: 0 }],
  ])('have their tokens counted: %s', (name, usage) => {
    const recorded = recordedCase(`gemini/${name}`)

    const answer = gemini.decode(callFor(recorded), recorded.text)

    expect(answer).toMatchObject({ usage: { cacheWrite: 0, estimated: false, ...usage } })
  })

  test('to a blocked prompt have nothing in them', () => {
    const recorded = recordedCase('gemini/generate-prompt-blocked-message')

    const answer = gemini.decode(callFor(recorded), recorded.text)

    expect(answer).toMatchObject({ chunk: { choices: [{ message: { content: null, refusal: null } }] } })
  })

  test('have the log probability of each token and of those beside it', () => {
    const recorded = recordedCase('gemini/generate-logprobs')

    const answer = gemini.decode(callFor(recorded), recorded.text)

    if (answer instanceof GatewayError) throw answer
    const content = chatCompletion.parse(JSON.parse(answer.text)).choices[0]?.logprobs?.content ?? []
    expect(content.map(({ token }) => token).join('')).toBe('2 + 2 = 4')
    expect(content[0]).toMatchObject({ token: '2', logprob: -0.01972555, bytes: [50] })
    expect(content.every(({ top_logprobs }) => top_logprobs?.length === 5)).toBe(true)
  })
})

describe.skipIf(sharedDir() === null)('recorded streams', () => {
  for (const usage of [false, true]) {
    test.each(whole)(
      `please a strict client that ${usage ? 'asked' : 'did not ask'} for usage: %s`,
      (name, recorded) => {
        const { frames, skipped } = play(recorded, usage)

        const texts = textsOf(frames, usage)
        const chunks = texts.map(text => chatCompletionChunk.parse(JSON.parse(text.slice('data: '.length))))
        expect(skipped).toBe(0)
        expect(strictProblems(texts, { usage })).toEqual([])
        expect(chunks.flatMap(chunk => chunk.choices.flatMap(choice => choice.finish_reason ?? []))).toEqual([
          REASONS[name] as 'stop',
        ])
      },
    )
  }

  test.each(streams)('do not depend on the split: %s', (_, recorded) => {
    const asked = callFor(recorded)
    const expected = resultOf(replay(still, asked, recorded.text))

    for (const split of splitsOf(recorded.text)) {
      expect(resultOf(replay(still, asked, recorded.text, split))).toBe(expected)
    }
    expect(resultOf(replay(still, asked, recorded.text, 'every-byte'))).toBe(expected)
  })

  test.each(whole)('keep all that was said, thought and called: %s', (_, recorded) => {
    const deltas = dataFrames(play(recorded).frames).flatMap(frame => frame.chunk.choices?.[0]?.delta ?? [])

    const parts = eventsIn(recorded).flatMap(partsOf)
    expect(deltas.map(delta => delta.content ?? '').join('')).toBe(textIn(parts, false))
    expect(deltas.map(delta => delta.reasoning_content ?? '').join('')).toBe(textIn(parts, true))
    expect(deltas.flatMap(delta => delta.tool_calls ?? []).map(each => toCallPart(each as JsonObject))).toEqual(
      callsIn(parts),
    )
  })

  test.each([
    ['stream-text-usage-progress', { input: 18, output: 115, reasoning: 35 }],
    ['stream-thoughts', { input: 44, output: 1510, reasoning: 902 }],
    ['stream-function-call-parallel', { input: 85, output: 162, reasoning: 127 }],
    ['stream-recitation', { input: 9, output: 261, reasoning: 0 }],
  ])('are counted once, by the last count: %s', (name, usage) => {
    const counted = dataFrames(play(recordedCase(`gemini/${name}`)).frames).filter(frame => frame.usage !== null)

    expect(counted.map(frame => frame.kind)).toEqual(['usage'])
    expect(counted[0]?.usage).toMatchObject({ cacheRead: 0, cacheWrite: 0, estimated: false, ...usage })
  })

  test('that break off with bare JSON fail, and do not look whole', () => {
    const { frames } = play(recordedCase(BROKEN))

    const last = frames.at(-1)
    expect(contentOf(frames)).toBe('First Second ')
    expect(frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'delta', 'error'])
    expect(last?.kind === 'error' && last.error.code).toBe('upstream_error')
  })
})

describe.skipIf(sharedDir() === null)('recorded failures', () => {
  const CODES: Readonly<Record<string, readonly [string, number | null]>> = {
    'error-400-api-key': ['upstream_auth_failed', null],
    'error-429-quota': ['provider_rate_limited', 48_000],
  }

  test.each(cases.filter(({ status }) => status !== 200).map(each => [shortName(each), each] as const))(
    'are told as what they mean: %s',
    (name, recorded) => {
      const head = { status: recorded.status, header: (wanted: string) => recorded.headers[wanted] ?? null }

      const { code, retryAfterMs } = gemini.decodeError(head, recorded.text)

      expect([code, retryAfterMs]).toEqual([...(CODES[name] ?? [])] as [typeof code, number | null])
    },
  )
})

describe.skipIf(sharedDir() === null)('recorded streams are read by', () => {
  /** A `fetch` that answers as the gateway would with this stream behind it. */
  function fetchOf(recorded: RecordedCase, usage: boolean) {
    const body = `${textsOf(play(recorded, usage).frames, usage).join('')}data: [DONE]\n\n`
    const answer = async () => new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    return Object.assign(answer, { preconnect: () => {} })
  }

  test.each(whole)("OpenAI's own client: %s", async (name, recorded) => {
    const fetch = fetchOf(recorded, false)
    const client = new OpenAI({ apiKey: 'test', baseURL: 'http://gateway.test/v1', fetch })

    const stream = client.chat.completions.stream({ model: 'm', messages: [{ role: 'user', content: 'Hi' }] })
    const [choice] = (await stream.finalChatCompletion()).choices

    expect(choice?.finish_reason).toBe(REASONS[name] as 'stop')
    expect(choice?.message.content ?? '').toBe(textIn(eventsIn(recorded).flatMap(partsOf), false))
  })

  test.each(whole)('the AI SDK: %s', async (_, recorded) => {
    const fetch = fetchOf(recorded, true)
    const model = createOpenAICompatible({ name: 'gateway', baseURL: 'http://gateway.test/v1', fetch }).chatModel('m')

    const { stream } = await model.doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] })
    const read = await Array.fromAsync(stream)

    const parts = eventsIn(recorded).flatMap(partsOf)
    expect(read.filter(part => part.type === 'error')).toEqual([])
    expect(read.filter(part => part.type === 'finish')).toHaveLength(1)
    expect(read.map(part => (part.type === 'text-delta' ? part.delta : '')).join('')).toBe(textIn(parts, false))
    expect(read.map(part => (part.type === 'reasoning-delta' ? part.delta : '')).join('')).toBe(textIn(parts, true))
    expect(read.filter(part => part.type === 'tool-call')).toHaveLength(callsIn(parts).length)
  })
})

/** The events of a recorded stream. */
function eventsIn({ text }: RecordedCase): unknown[] {
  return [...text.matchAll(/^data: (.*)$/gm)].map(([, data = '']) => JSON.parse(data))
}

function partsOf(answer: unknown): JsonObject[] {
  const candidates = isObject(answer) && Array.isArray(answer.candidates) ? answer.candidates : []
  return candidates.flatMap(({ content }) => content?.parts ?? [])
}

function textIn(parts: readonly JsonObject[], thought: boolean): string {
  return parts
    .filter(part => (part.thought === true) === thought)
    .map(part => part.text ?? '')
    .join('')
}

/** What was called, with which arguments and signature, in a form that both dialects can be brought to. */
function callsIn(parts: readonly JsonObject[]): unknown[] {
  return parts.flatMap(({ functionCall, thoughtSignature }) =>
    isObject(functionCall) ? [[functionCall.name, functionCall.args, thoughtSignature]] : [],
  )
}

function toCallPart(made: JsonObject): unknown {
  const { function: called, extra_content: extra } = made as {
    function: { name: string; arguments: string }
    extra_content?: { google: { thought_signature: string } }
  }
  return [called.name, JSON.parse(called.arguments), extra?.google.thought_signature]
}
