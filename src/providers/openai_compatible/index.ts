import type { Provider } from '../provider.ts'
import { catalog } from './catalog.ts'
import { fromErrorResponse } from './error.ts'
import { parameters } from './parameters.ts'
import { toRequest } from './request.ts'
import { fromResponse } from './response.ts'
import { createStream } from './stream.ts'

/** Any server that speaks OpenAI's wire format: vLLM, llama.cpp, LM Studio, Groq, Mistral, OpenRouter and the rest. */
export const openaiCompatible: Provider = {
  name: 'openai_compatible',
  framing: 'sse',
  endpoints: new Set(['chat', 'completions', 'embeddings']),
  capabilities: {
    tools: true,
    vision: true,
    audio: true,
    json_object: true,
    json_schema: true,
    reasoning: true,
    logprobs: true,
    several_choices: true,
    prefill: true,
  },
  parameters,
  defaultBaseUrl: null,
  normalizeBaseUrl,
  encode: toRequest,
  decode: fromResponse,
  decodeError: fromErrorResponse,
  stream: createStream,
  catalog,
}

/** Appends `/v1` to an address without a path, and removes the path of an endpoint that people paste with it. Azure has
 * paths of its own: the older one when the address has an `api-version`. */
export function normalizeBaseUrl(url: string): string {
  const [, address = url, query = ''] = /^([^?#]*)(\?[^#]*)?/.exec(url.trim()) ?? []
  const isAzure = /:\/\/[^/]+\.azure\.(?:com|us|cn)(?:\/|$)/.test(address)
  const pasted = isAzure
    ? /\/(?:chat\/completions|embeddings)$/
    : /\/(?:chat\/completions|completions|embeddings|models)$/
  const base = address.replace(/\/+$/, '').replace(pasted, '')
  if (/^[a-z][a-z0-9+.-]*:\/\/[^/]+\/./i.test(base)) return base + query
  if (!isAzure) return `${base}/v1${query}`
  return query.includes('api-version=') ? `${base}/openai${query}` : `${base}/openai/v1${query}`
}
