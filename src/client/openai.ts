import type { Client } from './client.ts'
import { CitadelError } from './errors.ts'
import type { CallOptions } from './send.ts'
import type { AnswerStream } from './stream.ts'
import type {
  ChatChunk,
  ChatCompletion,
  ChatRequest,
  Completion,
  CompletionRequest,
  EmbeddingList,
  EmbeddingRequest,
  Model,
} from './types.ts'

/** The options of a call as the `openai` package names them. */
export interface OpenAIOptions {
  readonly signal?: AbortSignal | null
  /** Milliseconds. */
  readonly timeout?: number
  readonly maxRetries?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly idempotencyKey?: string
}

/** A stream as the `openai` package gives it: `controller.abort()`, or the signal, ends the loop without an error. */
export interface OpenAIStream<T> extends AsyncIterable<T> {
  readonly controller: AbortController
}

type Streamed = { readonly stream: true }
type Whole = { readonly stream?: false | null }

/** What `new OpenAI()` offers of chat, completions, embeddings and models. */
export interface OpenAIShape {
  readonly chat: {
    readonly completions: {
      create(body: ChatRequest & Streamed, options?: OpenAIOptions): Promise<OpenAIStream<ChatChunk>>
      create(body: ChatRequest & Whole, options?: OpenAIOptions): Promise<ChatCompletion>
    }
  }
  readonly completions: {
    create(body: CompletionRequest & Streamed, options?: OpenAIOptions): Promise<OpenAIStream<Completion>>
    create(body: CompletionRequest & Whole, options?: OpenAIOptions): Promise<Completion>
  }
  readonly embeddings: { create(body: EmbeddingRequest, options?: OpenAIOptions): Promise<EmbeddingList> }
  readonly models: {
    list(options?: OpenAIOptions): Promise<ModelPage>
    retrieve(id: string, options?: OpenAIOptions): Promise<Model>
  }
}

/** The list of models: its only page. */
export interface ModelPage extends AsyncIterable<Model> {
  readonly data: readonly Model[]
}

/** Gives the client the shape that code written for the `openai` package calls.
 *
 * Its errors have the fields of that package's errors, and are no instances of its classes. */
export function asOpenAI(client: Client): OpenAIShape {
  function chat(body: ChatRequest & Streamed, options?: OpenAIOptions): Promise<OpenAIStream<ChatChunk>>
  function chat(body: ChatRequest & Whole, options?: OpenAIOptions): Promise<ChatCompletion>
  function chat(body: ChatRequest, options?: OpenAIOptions): Promise<OpenAIStream<ChatChunk> | ChatCompletion> {
    if (body.stream === true) return streamed(own => client.stream(body, own), options)
    return client.chat(body, ownOptions(options))
  }

  function complete(body: CompletionRequest & Streamed, options?: OpenAIOptions): Promise<OpenAIStream<Completion>>
  function complete(body: CompletionRequest & Whole, options?: OpenAIOptions): Promise<Completion>
  function complete(body: CompletionRequest, options?: OpenAIOptions): Promise<OpenAIStream<Completion> | Completion> {
    if (body.stream === true) return streamed(own => client.streamCompletion(body, own), options)
    return client.complete(body, ownOptions(options))
  }

  return {
    chat: { completions: { create: chat } },
    completions: { create: complete },
    embeddings: { create: (body, options) => client.embed(body, ownOptions(options)) },
    models: {
      async list(options) {
        const data = await client.models(ownOptions(options))
        return {
          data,
          async *[Symbol.asyncIterator]() {
            yield* data
          },
        }
      },
      retrieve: (id, options) => client.model(id, ownOptions(options)),
    },
  }
}

function ownOptions({ signal, timeout, ...rest }: OpenAIOptions = {}): CallOptions {
  return { ...rest, signal: signal ?? undefined, timeoutMs: timeout }
}

async function streamed<T>(
  open: (options: CallOptions) => Promise<AnswerStream<T>>,
  options: OpenAIOptions | undefined,
): Promise<OpenAIStream<T>> {
  const controller = new AbortController()
  const stream = await open(ownOptions(options))
  controller.signal.addEventListener('abort', () => stream.abort(), { once: true })
  return {
    controller,
    async *[Symbol.asyncIterator]() {
      try {
        yield* stream
      } catch (thrown) {
        if (!(thrown instanceof CitadelError && thrown.code === 'aborted')) throw thrown
      }
    },
  }
}
