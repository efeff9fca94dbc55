import type { Provider } from '../provider.ts'
import { catalog } from './catalog.ts'
import { fromGeminiErrorResponse } from './error.ts'
import { parameters } from './parameters.ts'
import { toGeminiRequest } from './request.ts'
import { fromGeminiResponse } from './response.ts'
import { createGeminiStream } from './stream.ts'
import { tierOf } from './tier.ts'

/** Google's Gemini by its native API, which, unlike its OpenAI-compatible one, shows thoughts, counts and blocked
 * prompts. */
export const gemini: Provider = {
  name: 'gemini',
  framing: 'sse',
  endpoints: new Set(['chat', 'embeddings']),
  capabilities: {
    tools: true,
    vision: true,
    audio: true,
    json_object: true,
    json_schema: true,
    reasoning: true,
    logprobs: true,
    several_choices: true,
    prefill: false,
  },
  parameters,
  defaultBaseUrl: 'https://generativelanguage.googleapis.com/v1beta',
  normalizeBaseUrl,
  encode: toGeminiRequest,
  decode: (call, body, head) => fromGeminiResponse(call, body, Date.now(), tierOf(head)),
  decodeError: fromGeminiErrorResponse,
  stream: (call, head) => createGeminiStream(call, Date.now(), tierOf(head)),
  catalog,
}

/** Appends `/v1beta` to an address without a path, and removes the path of an endpoint that people paste with it. */
export function normalizeBaseUrl(url: string): string {
  const base = url
    .trim()
    .replace(/\/+$/, '')
    .replace(/\/(?:openai|models)(?:\/.*)?$/, '')
    .replace(/\/+$/, '')
  return /^[a-z][a-z0-9+.-]*:\/\/[^/]+\/./i.test(base) ? base : `${base}/v1beta`
}
