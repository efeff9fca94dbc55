import type { Provider } from '../provider.ts'
import { catalog } from './catalog.ts'
import { fromErrorResponse } from './error.ts'
import { toRequest } from './request.ts'
import { fromResponse } from './response.ts'
import { createStream } from './stream.ts'

/** Any server that speaks OpenAI's wire format: vLLM, llama.cpp, LM Studio, Groq, Mistral, OpenRouter and the rest. */
export const openaiCompatible: Provider = {
  name: 'openai_compatible',
  framing: 'sse',
  endpoints: new Set(['chat', 'completions', 'embeddings']),
  defaultBaseUrl: null,
  normalizeBaseUrl,
  encode: toRequest,
  decode: fromResponse,
  decodeError: fromErrorResponse,
  stream: createStream,
  catalog,
}

/** Appends `/v1` to an address without a path, and takes off what people paste behind it. */
export function normalizeBaseUrl(url: string): string {
  const [, address = url, query = ''] = /^([^?#]*)(\?[^#]*)?/.exec(url.trim()) ?? []
  const base = address.replace(/\/+$/, '').replace(/\/(?:chat\/completions|completions|embeddings|models)$/, '')
  const hasPath = /^[a-z][a-z0-9+.-]*:\/\/[^/]+\/./i.test(base)
  return `${hasPath ? base : `${base}/v1`}${query}`
}
