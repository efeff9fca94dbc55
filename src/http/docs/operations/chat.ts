import { z } from '@hono/zod-openapi'
import { chatChunk, chatRequest, chatResponse } from '#wire/chat.ts'
import { errorBody } from '#wire/errors.ts'
import type { Operation } from '../operation.ts'
import { curlPost, node, python } from '../samples.ts'
import { MODEL_CALL_ANSWER_HEADERS, modelCallHeaders } from './model-call.ts'

const plain = {
  model: 'citadel-demo',
  messages: [{ role: 'user', content: 'Say hello.' }],
}

const streamed = { ...plain, stream: true, stream_options: { include_usage: true } }

const withTools = {
  model: 'citadel-demo',
  messages: [{ role: 'user', content: 'What is the weather in Lisbon?' }],
  tools: [
    {
      type: 'function',
      function: {
        name: 'get_weather',
        description: 'The weather of a city now.',
        parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      },
    },
  ],
}

const withFallbacks = { ...plain, fallbacks: ['small', 'cloud'] }

const TEXT =
  'This is citadel-demo, the built-in demonstration model of this gateway. It repeats what it is told. You said: “Say hello.”'

const answer = {
  id: 'chatcmpl-demo-3062db2bea4d2eecc74a',
  object: 'chat.completion',
  created: 1795000000,
  model: 'citadel-demo',
  choices: [{ index: 0, message: { role: 'assistant', content: TEXT, refusal: null }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 2, completion_tokens: 20, total_tokens: 22 },
}

function event(choices: readonly object[], more: object = {}): string {
  const { id, created, model } = answer
  return `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', created, model, choices, ...more })}`
}

const events = [
  event([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }]),
  event([{ index: 0, delta: { content: TEXT }, finish_reason: null }]),
  event([{ index: 0, delta: {}, finish_reason: 'stop' }]),
  event([], { usage: answer.usage }),
  'data: [DONE]',
  '',
].join('\n\n')

/** The operation of `/v1/chat/completions`. */
export const chatOperations = {
  createChatCompletion: {
    tag: 'Inference',
    summary: 'Answer a conversation',
    description: [
      'Continues a conversation with a model. The gateway chooses a server of the model, and another one when that fails before the answer begins.',
      'With `stream: true` in the body the answer comes as server-sent events, whatever the `accept` header says. A stream that ends well ends with `data: [DONE]`. When it breaks off, its last event is `data: {"error": …}` and there is no `[DONE]`. With `streams.early_headers` it may begin, with comments, before a model answers: the headers that name the model and its server are then absent, and any error may come as that event.',
      'Fields that are not documented here are passed on to the model server unchanged.',
    ].join('\n\n'),
    body: {
      schema: chatRequest,
      examples: {
        plain: { summary: 'A plain answer', value: plain },
        streamed: { summary: 'A streamed answer with its usage', value: streamed },
        tools: { summary: 'A tool that the model may call', value: withTools },
        fallbacks: { summary: 'Another model when the first one fails', value: withFallbacks },
      },
    },
    answers: {
      200: {
        description: 'The answer: one JSON object, or a stream of events when the body asked for it.',
        headers: MODEL_CALL_ANSWER_HEADERS,
        content: [
          {
            type: 'application/json',
            schema: chatResponse,
            examples: { plain: { summary: 'A plain answer', value: answer } },
          },
          {
            type: 'text/event-stream',
            schema: z.string(),
            events: z.union([chatChunk, errorBody]),
            examples: { streamed: { summary: 'The events of a stream', value: events } },
          },
        ],
      },
    },
    passes: ['caller', 'limits', 'body', 'model'],
    headers: modelCallHeaders,
    samples: [
      curlPost('/v1/chat/completions', { ...plain, stream: true }, { stream: true }),
      node(`
const stream = await client.chat.completions.create({
  model: 'citadel-demo',
  messages: [{ role: 'user', content: 'Say hello.' }],
  stream: true,
})
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '')`),
      python(`
stream = client.chat.completions.create(
    model="citadel-demo",
    messages=[{"role": "user", "content": "Say hello."}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="")`),
    ],
  },
} as const satisfies Record<string, Operation>
