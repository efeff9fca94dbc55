import { describe, expect, test } from 'bun:test'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { messages, sent } from '#tests/providers/anthropic/cases.ts'
import { recordedCase } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'

const user = (content: JsonValue) => [{ role: 'user', content }]
const pelican = user('Two names for a pet pelican, be brief')

function tool(name: string, description: string, parameters: JsonObject): JsonObject {
  return { type: 'function', function: { name, description, parameters } }
}

/** A request that was recorded, as the dialect would write the same. */
function recordedRequest(name: string): JsonObject {
  const { request } = recordedCase(`anthropic/${name}`)
  return isObject(request) ? canonical(request) : {}
}

/** Says the same in one of the forms in which the API takes it: texts as blocks, nothing that is the default. */
function canonical(request: JsonObject): JsonObject {
  const { system, messages, output_format: format, stream, temperature, tool_choice: choice, ...rest } = request
  return {
    ...rest,
    ...(system !== undefined && { system: blocks(system) }),
    messages: (messages as JsonObject[]).map(message => ({ ...message, content: blocks(message.content) })),
    ...(format !== undefined && { output_config: { format } }),
    ...(stream === true && { stream }),
    ...(temperature !== undefined && temperature !== 1 && { temperature }),
    ...(isObject(choice) && choice.type !== 'auto' && { tool_choice: choice }),
  }
}

function blocks(content: JsonValue): JsonValue {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : content
}

function systemOf(name: string): JsonValue {
  const { system } = recordedCase(`anthropic/${name}`).request as JsonObject
  return [{ role: 'system', content: system }]
}

const weather = tool('get_weather', 'Get the weather for a specific location', {
  type: 'object',
  properties: { location: { type: 'string' } },
})

/** What OpenAI's users would write for each recorded request. */
const REQUESTS: Readonly<Record<string, () => JsonObject>> = {
  'error-400-prompt-too-long': () => ({
    messages: Array.from({ length: 11 }, (_, at) => ({
      role: at % 2 === 0 ? 'user' : 'assistant',
      content: at === 10 ? 'Hi' : '<MASSIVE_TEXT>',
    })),
  }),
  'error-401': () => ({ messages: user('Hello') }),
  'messages-cache-read': () => ({
    messages: [...(systemOf('messages-cache-read') as JsonObject[]), ...user('What is a system')],
    max_tokens: 100,
    temperature: 0.1,
  }),
  'messages-cache-write': () => ({
    messages: [
      ...(systemOf('messages-cache-write') as JsonObject[]),
      ...user('What are the key principles for designing scalable systems?'),
    ],
    max_completion_tokens: 100,
    temperature: 0.1,
  }),
  'messages-image-base64-stream': () => ({
    messages: user([
      { type: 'image_url', image_url: { url: `data:image/png;base64,${imageData()}` } },
      { type: 'text', text: 'Describe image in three words' },
    ]),
    max_tokens: 8192,
    stream: true,
  }),
  'messages-stop-sequence': () => ({
    messages: user(
      'What is the capital of France? Give me an answer that contains the word "Paris", but is not the first word.',
    ),
    max_tokens: 1024,
    stop: 'Paris',
  }),
  'messages-stream-cache-read': () => ({
    messages: [...(systemOf('messages-stream-cache-read') as JsonObject[]), ...user('What is a system')],
    max_tokens: 100,
    temperature: 0.1,
    stream: true,
    stream_options: { include_usage: true },
  }),
  'messages-stream-stop-sequence': () => ({
    messages: [...user('Very short function describing a pelican'), { role: 'assistant', content: '```python' }],
    max_tokens: 8192,
    stop: ['```'],
    stream: true,
  }),
  'messages-stream-text': () => ({ messages: pelican, max_tokens: 8192, stream: true }),
  'messages-stream-thinking-redacted': () => ({
    messages: user(
      'ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_46C9A13E193C177646C7398A98432ECCCE4C1253D5E2D82641AC0E52CC2876CB',
    ),
    max_tokens: 4096,
    reasoning_effort: 'minimal',
    stream: true,
  }),
  'messages-stream-thinking-tool': () => ({
    messages: user(
      'Use the fixed_version tool. Then tell me the version and make one short joke about it. Think about it first.',
    ),
    thinking: { type: 'enabled', budget_tokens: 1024, display: 'summarized' },
    tools: [tool('fixed_version', 'Return a fixed test version string', { properties: {}, type: 'object' })],
    stream: true,
  }),
  'messages-stream-thinking': () => ({
    messages: pelican,
    max_tokens: 8192,
    reasoning_effort: 'minimal',
    stream: true,
  }),
  'messages-stream-tool-no-args': () => ({
    messages: [
      { role: 'developer', content: 'You must use tools whenever possible.' },
      ...user("What's the best language to learn?"),
    ],
    tools: [
      tool('best_language_to_learn', 'Gets the best language to learn', {
        type: 'object',
        properties: {},
        required: [],
        additionalProperties: false,
        strict: true,
      }),
    ],
    stream: true,
  }),
  'messages-stream-tool-with-text': () => ({
    messages: user('What is the weather and current time in San Francisco?'),
    max_tokens: 1024,
    tools: (recordedRequest('messages-stream-tool-with-text').tools as JsonObject[]).map(each =>
      tool(String(each.name), String(each.description), each.input_schema as JsonObject),
    ),
    tool_choice: 'auto',
    stream: true,
  }),
  'messages-stream-tool': () => ({
    messages: user('Two names for a pet pelican'),
    max_tokens: 8192,
    tools: [tool('pelican_name_generator', '', { properties: {}, type: 'object' })],
    stream: true,
  }),
  'messages-structured-output': () => ({
    messages: user('Tell me a joke about OpenTelemetry and rate it from 1 to 10'),
    max_tokens: 1024,
    response_format: {
      type: 'json_schema',
      json_schema: {
        name: 'joke',
        strict: true,
        schema: {
          type: 'object',
          properties: {
            joke: { type: 'string', description: 'A joke about OpenTelemetry' },
            rating: { type: 'integer', description: 'Rating of the joke from 1 to 10' },
          },
          required: ['joke', 'rating'],
          additionalProperties: false,
        },
      },
    },
  }),
  'messages-text': () => ({ messages: user("What's 2 + 2?") }),
  'messages-thinking-tool': () => ({
    messages: user('What is the weather in San Francisco, CA?'),
    max_tokens: 16_000,
    reasoning_effort: 'minimal',
    tools: [weather],
  }),
  'messages-thinking': () => ({
    messages: user("How many times does the letter 'r' appear in the word strawberry?"),
    max_tokens: 2048,
    reasoning_effort: 'minimal',
  }),
  'messages-tool-parallel': () => ({
    messages: [
      { role: 'system', content: recordedRequest('messages-tool-parallel').system },
      ...user('Alice, Bob, Charlie and Daisy are a family. Who is the youngest?'),
    ],
    max_tokens: 4096,
    tools: [
      tool('retrieve_entity_info', 'Get the knowledge about the given entity.', {
        additionalProperties: false,
        properties: { name: { type: 'string' } },
        required: ['name'],
        type: 'object',
      }),
    ],
  }),
  'messages-tool-result-turn': () => ({
    messages: [
      ...user("What's the weather in Berlin? (52.5200, 13.4050)"),
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          {
            id: 'toolu_01Ay5KzhmQYMK53svGLaAxfc',
            type: 'function',
            function: { name: 'weather', arguments: '{"latitude":"52.5200","longitude":"13.4050"}' },
          },
        ],
      },
      {
        role: 'tool',
        tool_call_id: 'toolu_01Ay5KzhmQYMK53svGLaAxfc',
        content: 'Current weather at 52.5200, 13.4050: 15°C, Wind: 10 km/h',
      },
    ],
    tools: (recordedRequest('messages-tool-result-turn').tools as JsonObject[]).map(each =>
      tool(String(each.name), String(each.description), each.input_schema as JsonObject),
    ),
  }),
}

function imageData(): string {
  const text = JSON.stringify(recordedRequest('messages-image-base64-stream'))
  return /"data":"([^"]+)"/.exec(text)?.[1] ?? ''
}

describe.skipIf(sharedDir() === null)('the request that means the same as the recorded one', () => {
  test.each(Object.entries(REQUESTS))('%s', (name, request) => {
    const recorded = recordedRequest(name)

    const { body, dropped } = sent(request(), String(recorded.model))

    expect(body).toEqual(recorded)
    expect(dropped).toEqual([])
  })

  test('is checked for every request that was recorded', () => {
    const recorded = messages
      .filter(({ request }) => request !== null)
      .map(({ name }) => name.slice('anthropic/'.length))

    expect(Object.keys(REQUESTS).sort()).toEqual(recorded.sort())
  })
})
