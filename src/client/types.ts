/** A message of a conversation, in OpenAI's form; fields that are not named here are sent as they are. */
export interface ChatMessage {
  readonly role: string
  readonly content?: unknown
  readonly [field: string]: unknown
}

/** A conversation to continue. Without a model the gateway chooses one. */
export interface ChatRequest {
  readonly messages: readonly ChatMessage[]
  readonly model?: string
  readonly [field: string]: unknown
}

/** A text to continue. */
export interface CompletionRequest {
  readonly prompt: unknown
  readonly model?: string
  readonly [field: string]: unknown
}

/** Texts to turn into vectors; they come as numbers unless `encoding_format` asks for base64. */
export interface EmbeddingRequest {
  readonly input: unknown
  readonly model?: string
  readonly [field: string]: unknown
}

/** Token counts. */
export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens?: number
  readonly total_tokens: number
}

/** A call of a function that the model asks for. */
export interface ToolCall {
  readonly id: string
  readonly type: string
  /** Where the type is `function`. */
  readonly function?: { readonly name: string; readonly arguments: string }
  readonly [field: string]: unknown
}

interface Head {
  readonly id: string
  readonly created: number
  readonly model: string
}

/** A whole answer. */
export interface ChatCompletion extends Head {
  readonly object: 'chat.completion'
  readonly choices: readonly {
    readonly index: number
    readonly message: {
      readonly role: 'assistant'
      readonly content: string | null
      readonly refusal?: string | null
      readonly reasoning_content?: string | null
      readonly tool_calls?: readonly ToolCall[]
    }
    readonly finish_reason: string
  }[]
  readonly usage?: Usage
}

/** One piece of a streamed answer; the piece with `usage` has no choices. */
export interface ChatChunk extends Head {
  readonly object: 'chat.completion.chunk'
  readonly choices: readonly {
    readonly index: number
    readonly delta: {
      readonly role?: string
      readonly content?: string | null
      readonly refusal?: string | null
      readonly reasoning_content?: string | null
      readonly tool_calls?: readonly {
        readonly index: number
        readonly id?: string
        readonly type?: string
        readonly function?: { readonly name?: string; readonly arguments?: string }
      }[]
    }
    readonly finish_reason?: string | null
  }[]
  readonly usage?: Usage | null
}

/** A continued text, or one piece of it. */
export interface Completion extends Head {
  readonly object: 'text_completion'
  readonly choices: readonly { readonly index: number; readonly text: string; readonly finish_reason?: string | null }[]
  readonly usage?: Usage | null
}

/** Vectors, in the order of the inputs; text when base64 was asked for. */
export interface EmbeddingList {
  readonly object: 'list'
  readonly data: readonly {
    readonly object: 'embedding'
    readonly index: number
    readonly embedding: readonly number[] | string
  }[]
  readonly model: string
  readonly usage?: Usage
}

/** A model that the caller may use. */
export interface Model {
  readonly id: string
  readonly object: 'model'
  readonly created: number
  readonly owned_by: string
  readonly display_name: string
  readonly class: string | null
  readonly context_length: number | null
  readonly capabilities: { readonly tools: boolean | null; readonly vision: boolean | null }
}

/** What happened to a request; fields that are not named here are described in the gateway's API reference. */
export interface RequestReport {
  readonly id: string
  readonly object: 'request'
  readonly outcome: string
  readonly status: number | null
  readonly code: string | null
  readonly model: string | null
  readonly server: string | null
  readonly attempts: readonly { readonly server: string; readonly result: string | null; readonly ms: number }[]
  readonly cost_usd: number | null
  readonly [field: string]: unknown
}

/** What the gateway tells of an answer in its headers. */
export interface AnswerInfo {
  readonly requestID: string | null
  /** The public name of the model that answered. */
  readonly model: string | null
  /** The server that answered. */
  readonly server: string | null
  /** Attempts at servers; 0 when none was needed. */
  readonly attempts: number
  /** `hit`, `miss`, `semantic`, `coalesced` or `bypass`; null while the cache is off. */
  readonly cache: string | null
  /** Whether it is the stored answer of an earlier call with the same idempotency key. */
  readonly replayed: boolean
}
