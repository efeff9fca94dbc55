import { CitadelError, errorOf, isRecord } from './errors.ts'
import { type CallOptions, type ClientOptions, createSend, type Outgoing } from './send.ts'
import { type AnswerStream, readStream } from './stream.ts'
import type {
  AnswerInfo,
  ChatChunk,
  ChatCompletion,
  ChatRequest,
  Completion,
  CompletionRequest,
  EmbeddingList,
  EmbeddingRequest,
  Model,
  RequestReport,
} from './types.ts'

/** A gateway, as applications call it. Every method throws a `CitadelError`. */
export interface Client {
  /** Answers a conversation. */
  chat(body: ChatRequest, options?: CallOptions): Promise<ChatCompletion>
  /** Answers a conversation piece by piece; resolves when the stream begins. */
  stream(body: ChatRequest, options?: CallOptions): Promise<AnswerStream<ChatChunk>>
  /** Continues a text. */
  complete(body: CompletionRequest, options?: CallOptions): Promise<Completion>
  /** Continues a text piece by piece. */
  streamCompletion(body: CompletionRequest, options?: CallOptions): Promise<AnswerStream<Completion>>
  /** Turns texts into vectors. */
  embed(body: EmbeddingRequest, options?: CallOptions): Promise<EmbeddingList>
  /** Lists the models that the key may use. */
  models(options?: CallOptions): Promise<readonly Model[]>
  /** Tells one model. */
  model(id: string, options?: CallOptions): Promise<Model>
  /** Tells what happened to a request of this key. */
  request(id: string, options?: CallOptions): Promise<RequestReport>
  /** What the headers said of an answer or a stream that this client gave; null for any other object. */
  info(answer: object): AnswerInfo | null
}

/** Creates a client; it holds no connection and can be shared by the whole application.
 *
 * @example
 * const client = createClient({ baseUrl: 'http://localhost:8000', apiKey: 'ck_…' })
 * for await (const chunk of await client.stream({ messages })) show(chunk.choices[0]?.delta.content ?? '') */
export function createClient(defaults: ClientOptions): Client {
  const send = createSend(defaults)
  const infos = new WeakMap<object, AnswerInfo | undefined>()

  async function ask<T extends object>(outgoing: Outgoing, options: CallOptions = {}, read = readJson<T>): Promise<T> {
    const { value, response, life } = await send(outgoing, options, read)
    life.end()
    infos.set(value, infoOf(response.headers))
    return value
  }

  async function open<T extends object>(path: string, body: object, options: CallOptions = {}) {
    const outgoing = { path, body: { ...body, stream: true } }
    const idleMs = options.idleTimeoutMs ?? defaults.idleTimeoutMs ?? 60_000
    const { response, life } = await send(outgoing, options, isEventStream)
    const stream = readStream<T>({ response, life, idleMs })
    infos.set(stream, infoOf(response.headers))
    life.pause()
    return stream
  }

  return {
    chat: (body, options) => ask({ path: '/chat/completions', body }, options),
    stream: (body, options) => open('/chat/completions', body, options),
    complete: (body, options) => ask({ path: '/completions', body }, options),
    streamCompletion: (body, options) => open('/completions', body, options),
    embed: (body, options) => ask({ path: '/embeddings', body }, options),
    models: async options => {
      const list = await ask({ path: '/models' }, options, readList<Model>)
      infos.set(list.data, infos.get(list))
      return list.data
    },
    model: (id, options) => ask({ path: `/models/${encodeURIComponent(id)}` }, options),
    request: (id, options) => ask({ path: `/requests/${encodeURIComponent(id)}` }, options),
    info: answer => infos.get(answer) ?? null,
  }
}

async function readJson<T extends object>(response: Response): Promise<T> {
  const text = await response.text()
  let value: T
  try {
    value = JSON.parse(text)
  } catch (cause) {
    // JSON that is half a value has lost its end on the way.
    if (response.headers.get('content-type') !== 'application/json') throw errorOf(response)
    throw new CitadelError('connection_failed', 'The answer broke off.', { headers: response.headers, cause })
  }
  if (!isRecord(value)) throw errorOf(response)
  return value
}

async function readList<T>(response: Response): Promise<{ readonly data: readonly T[] }> {
  const list = await readJson<{ readonly data: readonly T[] }>(response)
  if (!Array.isArray(list.data)) throw errorOf(response)
  return list
}

async function isEventStream(response: Response): Promise<void> {
  if (response.headers.get('content-type')?.startsWith('text/event-stream')) return
  await response.body?.cancel()
  throw errorOf(response)
}

function infoOf(headers: Headers): AnswerInfo {
  const own = (name: string) => headers.get(`x-citadel-${name}`)
  return {
    requestID: headers.get('x-request-id'),
    model: own('model'),
    server: own('server'),
    attempts: Number(own('attempts')),
    cache: own('cache'),
    replayed: headers.get('idempotency-replayed') === 'true',
  }
}
