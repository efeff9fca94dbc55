import { z } from '@hono/zod-openapi'
import { completionRequest, completionResponse } from '#wire/completions.ts'
import { embeddingRequest, embeddingResponse } from '#wire/embeddings.ts'
import { errorBody } from '#wire/errors.ts'
import { jsonAnswer, type Operation } from '../operation.ts'
import { curlPost, node, python } from '../samples.ts'
import { MODEL_CALL_ANSWER_HEADERS, modelCallHeaders } from './model-call.ts'

const prompt = { model: 'citadel-demo', prompt: 'Once upon a time', max_tokens: 32 }
const input = { model: 'citadel-demo', input: ['first text', 'second text'] }

const completion = {
  id: 'cmpl-demo-18081b53066ec02558d0',
  object: 'text_completion',
  created: 1795000000,
  model: 'citadel-demo',
  choices: [
    {
      index: 0,
      text: 'This is citadel-demo, the built-in demonstration model of this gateway. It repeats what it is told. You said: “Once upon a time”',
      finish_reason: 'stop',
      logprobs: null,
    },
  ],
  usage: { prompt_tokens: 4, completion_tokens: 22, total_tokens: 26 },
}

const embeddings = {
  object: 'list',
  data: [
    { object: 'embedding', index: 0, embedding: [0.5, -0.5, 0.5, 0.5] },
    { object: 'embedding', index: 1, embedding: [0.5, 0.5, -0.5, 0.5] },
  ],
  model: 'citadel-demo',
  usage: { prompt_tokens: 4, total_tokens: 4 },
}

/** The operations of `/v1/completions` and `/v1/embeddings`. */
export const inferenceOperations = {
  createCompletion: {
    tag: 'Inference',
    summary: 'Continue a text',
    description:
      'Continues a text, in the older form of the API that has no roles. Streaming, routing, failover and errors work as for chat completions.',
    body: {
      schema: completionRequest,
      examples: {
        plain: { summary: 'A plain answer', value: prompt },
        streamed: { summary: 'A streamed answer', value: { ...prompt, stream: true } },
      },
    },
    answers: {
      200: {
        description: 'The text: one JSON object, or a stream of events of the same shape when the body asked for it.',
        headers: MODEL_CALL_ANSWER_HEADERS,
        content: [
          {
            type: 'application/json',
            schema: completionResponse,
            examples: { plain: { summary: 'A plain answer', value: completion } },
          },
          {
            type: 'text/event-stream',
            schema: z.string(),
            events: z.union([completionResponse, errorBody]),
            examples: {
              streamed: {
                summary: 'The events of a stream',
                value: `data: ${JSON.stringify({ ...completion, usage: undefined })}\n\ndata: [DONE]\n\n`,
              },
            },
          },
        ],
      },
    },
    passes: ['caller', 'limits', 'body', 'model'],
    headers: modelCallHeaders,
    samples: [
      curlPost('/v1/completions', prompt),
      node(`
const completion = await client.completions.create({
  model: 'citadel-demo',
  prompt: 'Once upon a time',
  max_tokens: 32,
})
console.log(completion.choices[0]?.text)`),
      python(`
completion = client.completions.create(
    model="citadel-demo",
    prompt="Once upon a time",
    max_tokens=32,
)
print(completion.choices[0].text)`),
    ],
  },
  createEmbedding: {
    tag: 'Inference',
    summary: 'Turn texts into vectors',
    description:
      'Turns texts into vectors that can be compared. The list keeps the order of the inputs. `encoding_format` is honoured whatever the model server sends: the gateway converts between numbers and base64.',
    body: {
      schema: embeddingRequest,
      examples: {
        list: { summary: 'Several texts', value: input },
        one: { summary: 'One text as base64', value: { ...input, input: 'one text', encoding_format: 'base64' } },
      },
    },
    answers: {
      200: {
        ...jsonAnswer('One vector for each input.', embeddingResponse, {
          list: { summary: 'Two short vectors', value: embeddings },
        }),
        headers: MODEL_CALL_ANSWER_HEADERS,
      },
    },
    passes: ['caller', 'limits', 'body', 'model'],
    headers: modelCallHeaders,
    samples: [
      curlPost('/v1/embeddings', input),
      node(`
const embeddings = await client.embeddings.create({
  model: 'citadel-demo',
  input: ['first text', 'second text'],
})
console.log(embeddings.data.map(each => each.embedding.length))`),
      python(`
embeddings = client.embeddings.create(
    model="citadel-demo",
    input=["first text", "second text"],
)
print([len(each.embedding) for each in embeddings.data])`),
    ],
  },
} as const satisfies Record<string, Operation>
