import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { ollama } from '#providers/ollama/index.ts'
import { callOf, endpointOf, isModelCall, replay, resultOf, textsOf } from '#tests/providers/replay.ts'
import { call, target } from '#tests/support/calls.ts'
import { chunkProblems, plainSchemas, schemaProblems, streamSchemas } from '#tests/support/openai-schema.ts'
import { recordedCase, recordedCases } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { splitsOf } from '#tests/support/splits.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const paris = 'What is the weather in Paris? Use the get_current_weather tool.'
const rain = { location: 'San Francisco' }

/** What a client of OpenAI's API sends when it means what was recorded; null where it cannot mean it. */
const ASKED: Readonly<Record<string, ((sent: JsonObject) => JsonObject) | null>> = {
  'ollama/chat-image': () => ({
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'what is in this image?' },
          { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } },
        ],
      },
    ],
  }),
  // Only loads the model.
  'ollama/chat-load': null,
  'ollama/chat-structured': ({ messages, format }) => ({
    messages,
    temperature: 0,
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: format } },
  }),
  'ollama/chat-text': ({ messages }) => ({ messages }),
  'ollama/chat-thinking': ({ messages }) => ({ messages, temperature: 0, seed: 42 }),
  'ollama/chat-tool-history': ({ messages }) => ({
    messages: [
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'a', type: 'function', function: { name: 'get_current_weather', arguments: JSON.stringify(rain) } },
        ],
      },
      { ...(Array.isArray(messages) && isObject(messages[1]) ? messages[1] : {}), tool_call_id: 'a' },
    ],
  }),
  'ollama/chat-tool-thinking': ({ tools }) => ({
    messages: [{ role: 'user', content: paris }],
    tools,
    temperature: 0,
    seed: 42,
  }),
  'ollama/embed-batch': ({ input }) => ({ input }),
  'ollama/embed-single': ({ input }) => ({ input }),
  'ollama/error-404-model': ({ messages }) => ({ messages }),
  'ollama/generate-text': ({ prompt }) => ({ prompt }),
  'ollama/generate-thinking': ({ prompt }) => ({ prompt }),
}

describe.skipIf(sharedDir() === null)('recorded', () => {
  const cases = recordedCases('ollama').filter(isModelCall)
  const answers = cases.filter(each => each.status === 200 && !each.streamed).map(each => [each.name, each] as const)
  const asked = cases.flatMap(each => (isObject(each.request) ? [[each.name, each, each.request] as const] : []))

  test('requests are all compared with what the gateway sends', () => {
    expect(asked.map(([name]) => name).filter(name => ASKED[name] === undefined)).toEqual([])
  })

  test.each(asked)('%s is what is sent for a request that means the same', (name, recorded, sent) => {
    const body = ASKED[name]?.(sent)
    if (body === undefined) return
    const to = target('o', { upstreamModel: String(sent.model) })

    const { url, body: text } = ollama.encode(
      call({ endpoint: endpointOf(recorded), stream: false, body, source: null }),
      to,
      null,
    )

    expect(url).toEndWith(recorded.endpoint.split(' ')[1] ?? '')
    expect(meaningOf(JSON.parse(text?.join('') ?? ''))).toEqual(meaningOf(sent))
  })

  test.each(answers)('%s passes the strict schema', (_, recorded) => {
    const answer = ollama.decode(callOf(recorded), recorded.text)

    if (answer instanceof GatewayError) throw answer
    expect(schemaProblems(plainSchemas[endpointOf(recorded)], JSON.parse(answer.text))).toEqual([])
  })

  test('a stream passes it wherever its bytes are split', () => {
    const recorded = recordedCase('ollama/chat-stream-tools-parallel')
    const once = callOf(recorded, { wantsUsage: true })
    const whole = replay(ollama, once, recorded.text)

    expect(strictProblems(textsOf(whole.frames, true), { usage: true })).toEqual([])
    expect(chunkProblems(streamSchemas.chat, textsOf(whole.frames, true))).toEqual([])
    for (const split of splitsOf(recorded.text)) {
      expect(resultOf(replay(ollama, once, recorded.text, split))).toBe(resultOf(whole))
    }
  })

  test('what is told of one model is its context and its abilities', () => {
    expect(ollama.catalog.details?.decodeModel(recordedCase('ollama/show').text)).toEqual({
      contextLength: 131_072,
      embedding: false,
      abilities: { tools: true, vision: false },
    })
  })

  test('the models in memory are listed', () => {
    expect(ollama.catalog.details?.decodeLoaded(recordedCase('ollama/ps').text)).toEqual(
      new Set(['llama3.2:3b-instruct-fp16']),
    )
  })
})

test.each(['', '<html>', '[]', '{}', '{"models":{}}', '{"model_info":[]}'])('%j tells nothing of a model', body => {
  expect(ollama.catalog.details?.decodeModel(body)).toEqual({})
  expect(ollama.catalog.details?.decodeLoaded(body)).toEqual(new Set())
})

/** A request without what says nothing: empty lists and texts, defaults, ids that only newer servers know. */
function meaningOf(sent: JsonObject): JsonObject {
  const isNothing = (value: unknown) =>
    value === null ||
    value === '' ||
    value === false ||
    JSON.stringify(value) === '[]' ||
    JSON.stringify(value) === '{}'
  const { stream: _stream, thinking: _thinking, ...rest } = sent
  const messages = Array.isArray(sent.messages) ? sent.messages.filter(isObject).map(bare) : undefined
  const whole: JsonObject = messages === undefined ? rest : { ...rest, messages }
  return Object.fromEntries(Object.entries(whole).filter(([, value]) => !isNothing(value)))
}

function bare({ tool_name: _name, tool_call_id: _id, ...message }: JsonObject): JsonObject {
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls.filter(isObject) : undefined
  return calls === undefined ? message : { ...message, tool_calls: calls.map(({ id: _, ...each }) => each) }
}
