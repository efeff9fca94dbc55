import { listAlone } from '../openai_compatible/catalog.ts'
import { openaiCompatible } from '../openai_compatible/index.ts'
import type { Provider } from '../provider.ts'
import { parameters } from './parameters.ts'
import { toDeepseekRequest } from './request.ts'

const { capabilities } = openaiCompatible

/** DeepSeek's own service. It answers in OpenAI's format, and accepts fewer parameters. */
export const deepseek: Provider = {
  ...openaiCompatible,
  name: 'deepseek',
  endpoints: new Set(['chat']),
  capabilities: { ...capabilities, audio: false, json_schema: false, several_choices: false, prefill: false },
  parameters,
  defaultBaseUrl: 'https://api.deepseek.com',
  normalizeBaseUrl,
  encode: toDeepseekRequest,
  catalog: listAlone,
}

/** Removes the path of an endpoint, which people paste with the address; DeepSeek's paths begin at the root. */
export function normalizeBaseUrl(url: string): string {
  return url
    .trim()
    .replace(/\/+$/, '')
    .replace(/\/(?:chat\/completions|models)$/, '')
}
