import type { Provider } from '../provider.ts'
import { catalog } from './catalog.ts'
import { fromOllamaErrorResponse } from './error.ts'
import { parameters } from './parameters.ts'
import { toOllamaRequest } from './request.ts'
import { fromOllamaResponse } from './response.ts'
import { createOllamaStream } from './stream.ts'

/** Ollama by its native API, which, unlike its `/v1`, takes `options`, `keep_alive` and `think`. */
export const ollama: Provider = {
  name: 'ollama',
  framing: 'ndjson',
  endpoints: new Set(['chat', 'completions', 'embeddings']),
  capabilities: {
    tools: true,
    vision: true,
    audio: false,
    json_object: true,
    json_schema: true,
    reasoning: true,
    logprobs: true,
    several_choices: false,
    prefill: false,
  },
  parameters,
  defaultBaseUrl: 'http://127.0.0.1:11434',
  normalizeBaseUrl,
  encode: toOllamaRequest,
  decode: fromOllamaResponse,
  decodeError: fromOllamaErrorResponse,
  stream: createOllamaStream,
  catalog,
}

/** Removes the `/v1` or `/api` that people paste with the address. */
export function normalizeBaseUrl(url: string): string {
  return url
    .trim()
    .replace(/\/+$/, '')
    .replace(/\/(?:v1|api)(?:\/[a-z/]+)?$/, '')
    .replace(/\/+$/, '')
}
