import { sha256 } from '#lib/hash.ts'
import { isObject, type JsonObject, parseJson } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import { toBase64Vector } from '../openai_compatible/embedding.ts'
import type { Outgoing } from '../provider.ts'
import { type DemoAnswer, toAnswer } from './answer.ts'
import { toVector, wordsOf } from './vector.ts'

const DEMO_MODEL = 'citadel-demo'

/** What the demonstration model sends back: each piece is written on its own. */
export interface DemoResponse {
  readonly status: number
  readonly contentType: string
  readonly pieces: readonly string[]
}

/** Answers a request in OpenAI's wire format.
 *
 * @param created Unix seconds. */
export function respond(outgoing: Outgoing, created: number): DemoResponse {
  const path = outgoing.url.slice(outgoing.url.lastIndexOf('/'))
  if (path === '/models') {
    return plain({ object: 'list', data: [{ id: DEMO_MODEL, object: 'model', created, owned_by: 'citadel' }] })
  }
  const sent = outgoing.body?.join('') ?? ''
  const body = parseJson(sent)
  if (!isObject(body)) return plain({ error: { message: 'The body is no JSON object.' } }, 400)
  if (body.model !== DEMO_MODEL) {
    return plain({ error: { message: `The model ${body.model} does not exist.`, code: 'model_not_found' } }, 404)
  }
  if (path === '/embeddings') return plain(toEmbeddings(body))
  const chat = outgoing.url.endsWith('/chat/completions')
  const prefix = chat ? 'chatcmpl' : 'cmpl'
  const head = { id: `${prefix}-demo-${sha256(sent).slice(0, 20)}`, created, model: DEMO_MODEL }
  const answer = toAnswer(body)
  if (body.stream !== true) return plain(toCompletion(answer, head, chat))
  const pieces = [...toEvents(answer, head, chat).map(event => writeSse(JSON.stringify(event))), writeSse('[DONE]')]
  return { status: 200, contentType: 'text/event-stream', pieces }
}

function plain(body: JsonObject, status = 200): DemoResponse {
  return { status, contentType: 'application/json', pieces: [JSON.stringify(body)] }
}

function toCompletion(answer: DemoAnswer, head: JsonObject, chat: boolean): JsonObject {
  const { toolCall, words, finishReason: finish_reason } = answer
  const text = words.join('')
  const calls = toolCall === null ? {} : { tool_calls: [toCall(toolCall, head.id)] }
  const message = { role: 'assistant', content: toolCall === null ? text : null, refusal: null, ...calls }
  const part = chat ? { message } : { text }
  const choices = [{ index: 0, ...part, logprobs: null, finish_reason }]
  return { ...head, object: chat ? 'chat.completion' : 'text_completion', choices, usage: toUsage(answer) }
}

function toEvents(answer: DemoAnswer, given: JsonObject, chat: boolean): readonly JsonObject[] {
  const head: JsonObject = { ...given, object: chat ? 'chat.completion.chunk' : 'text_completion' }
  const event = (part: JsonObject, finish_reason: string | null = null) => ({
    ...head,
    choices: [{ index: 0, ...part, logprobs: null, finish_reason }],
  })
  const end = [
    event(chat ? { delta: {} } : { text: '' }, answer.finishReason),
    { ...head, choices: [], usage: toUsage(answer) },
  ]
  if (!chat) return [...answer.words.map(text => event({ text })), ...end]
  const role = { role: 'assistant', content: answer.toolCall === null ? '' : null }
  const calls = answer.toolCall === null ? [] : [{ index: 0, ...toCall(answer.toolCall, head.id) }]
  return [
    event({ delta: role }),
    ...answer.words.map(content => event({ delta: { content } })),
    ...calls.map(call => event({ delta: { tool_calls: [call] } })),
    ...end,
  ]
}

function toCall(call: NonNullable<DemoAnswer['toolCall']>, seed: unknown): JsonObject {
  return { id: `call_${sha256(String(seed)).slice(0, 24)}`, type: 'function', function: { ...call } }
}

function toUsage({ promptTokens, completionTokens }: DemoAnswer): JsonObject {
  const total_tokens = promptTokens + completionTokens
  return { prompt_tokens: promptTokens, completion_tokens: completionTokens, total_tokens }
}

function toEmbeddings(body: JsonObject): JsonObject {
  const { input } = body
  const inputs = Array.isArray(input) && typeof input[0] !== 'number' ? input : [input]
  const data = inputs.map((each, index) => {
    const vector = toVector(each, body.dimensions)
    return {
      object: 'embedding',
      index,
      embedding: body.encoding_format === 'base64' ? toBase64Vector(vector) : vector,
    }
  })
  const prompt_tokens = inputs.reduce((sum: number, each) => sum + wordsOf(each).length, 0)
  return { object: 'list', data, model: DEMO_MODEL, usage: { prompt_tokens, total_tokens: prompt_tokens } }
}
