import {
  json,
  type RecordedRequest,
  type Script,
  type Steps,
  type StreamOptions,
  sse,
} from '#tests/support/upstream.ts'

/** How the ready OpenAI-like server answers. */
export interface OpenAiOptions extends StreamOptions {
  /** Names of its models (default `test-model`). */
  readonly models?: readonly string[]
  /** The answer's text, a delta each (default `Hello`, ` there`, `!`). */
  readonly deltas?: readonly string[]
  readonly finishReason?: string
  readonly embedding?: readonly number[]
}

const id = 'chatcmpl-test'
const created = 1_700_000_000
const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }

/** A script that answers chat, embeddings and the model list as OpenAI's server does. */
export function openAiScript(options: OpenAiOptions = {}): Script {
  return request => {
    const path = request.path.split('?')[0]
    if (path?.endsWith('/models')) return modelList(options)
    if (path?.endsWith('/embeddings')) return embeddings(request, options)
    if (path?.endsWith('/chat/completions')) return chat(request, options)
    return openAiError(404, 'Unknown request URL', null)
  }
}

/** The events of a streamed answer: role, one per delta, finish, usage when it was asked for, `[DONE]`. */
export function chatEvents(model: string, options: OpenAiOptions = {}, withUsage = false): (object | string)[] {
  const chunk = (rest: object) => ({ id, object: 'chat.completion.chunk', created, model, ...rest })
  const choice = (delta: object, finish_reason: string | null = null) =>
    chunk({ choices: [{ index: 0, delta, logprobs: null, finish_reason }], ...(withUsage ? { usage: null } : {}) })
  return [
    choice({ role: 'assistant', content: '', refusal: null }),
    ...deltasOf(options).map(content => choice({ content })),
    choice({}, options.finishReason ?? 'stop'),
    ...(withUsage ? [chunk({ choices: [], usage })] : []),
    '[DONE]',
  ]
}

/** A plain answer. */
export function chatCompletion(model: string, options: OpenAiOptions = {}): object {
  const message = { role: 'assistant', content: deltasOf(options).join(''), refusal: null }
  const finish_reason = options.finishReason ?? 'stop'
  return {
    id,
    object: 'chat.completion',
    created,
    model,
    choices: [{ index: 0, message, logprobs: null, finish_reason }],
    usage,
  }
}

/** An error as OpenAI words it. */
export function openAiError(
  status: number,
  message: string,
  code: string | null,
  headers: Readonly<Record<string, string>> = {},
): Steps {
  const type = status === 429 ? 'requests' : status < 500 ? 'invalid_request_error' : 'server_error'
  return json(status, { error: { message, type, param: null, code } }, headers)
}

function chat(request: RecordedRequest, options: OpenAiOptions): Steps {
  const body = asObject(request.json())
  const model = String(body.model)
  if (body.stream !== true) return json(200, chatCompletion(model, options))
  const withUsage = asObject(body.stream_options).include_usage === true
  return sse(chatEvents(model, options, withUsage), options)
}

function modelList(options: OpenAiOptions): Steps {
  const data = (options.models ?? ['test-model']).map(model => ({
    id: model,
    object: 'model',
    created,
    owned_by: 'test',
  }))
  return json(200, { object: 'list', data })
}

function embeddings(request: RecordedRequest, options: OpenAiOptions): Steps {
  const body = asObject(request.json())
  const vector = options.embedding ?? [0.5, -0.25, 1]
  const embedding = body.encoding_format === 'base64' ? toBase64(vector) : vector
  const inputs = Array.isArray(body.input) ? body.input : [body.input]
  const data = inputs.map((_, index) => ({ object: 'embedding', index, embedding }))
  return json(200, { object: 'list', data, model: body.model, usage: { prompt_tokens: 5, total_tokens: 5 } })
}

function toBase64(vector: readonly number[]): string {
  const floats = new DataView(new ArrayBuffer(vector.length * 4))
  for (const [index, value] of vector.entries()) floats.setFloat32(index * 4, value, true)
  return Buffer.from(floats.buffer).toString('base64')
}

function deltasOf(options: OpenAiOptions): readonly string[] {
  return options.deltas ?? ['Hello', ' there', '!']
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
