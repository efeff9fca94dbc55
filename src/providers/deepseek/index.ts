import { openaiCompatible } from '../openai_compatible/index.ts'
import type { Provider } from '../provider.ts'
import { parameters } from './parameters.ts'
import { toDeepseekRequest } from './request.ts'

const { capabilities, catalog } = openaiCompatible

/** DeepSeek's own service. It answers in OpenAI's words, and takes fewer of them. */
export const deepseek: Provider = {
  ...openaiCompatible,
  name: 'deepseek',
  endpoints: new Set(['chat']),
  capabilities: { ...capabilities, audio: false, json_schema: false, several_choices: false, prefill: false },
  parameters,
  defaultBaseUrl: 'https://api.deepseek.com',
  normalizeBaseUrl,
  encode: toDeepseekRequest,
  catalog: { ...catalog, probes: server => [catalog.list(server, server.secrets[0] ?? null)], reports: [] },
}

/** Takes off what people paste behind the address; paths stand at its root. */
export function normalizeBaseUrl(url: string): string {
  return url
    .trim()
    .replace(/\/+$/, '')
    .replace(/\/(?:chat\/completions|models)$/, '')
}
