import type { SupportMatrix } from '#http/docs/support.ts'
import { PROVIDERS } from '#providers/index.ts'
import { DEVIATIONS } from '#providers/openai_compatible/deviations.ts'
import { SERVICES } from '#providers/openai_compatible/services.ts'
import type { ProviderCapabilities } from '#providers/provider.ts'

const CAPABILITIES: Readonly<Record<keyof ProviderCapabilities, string>> = {
  tools: 'tools',
  vision: 'images',
  audio: 'recordings',
  json_object: 'JSON answers',
  json_schema: 'answers by a JSON schema',
  reasoning: 'thinking as `reasoning_content`',
  logprobs: 'log probabilities',
  several_choices: 'several choices (`n`)',
  prefill: 'going on from the beginning of an answer',
}

const ENDPOINTS = [
  ['chat', '`/v1/chat/completions`'],
  ['completions', '`/v1/completions`'],
  ['embeddings', '`/v1/embeddings`'],
] as const

/** The features that the dialects declare, for the documentation. */
export function composeSupport(): SupportMatrix {
  const capabilities = Object.entries(CAPABILITIES)
  return {
    features: [...ENDPOINTS, ...capabilities],
    providers: [...PROVIDERS.values()].map(({ name, endpoints, capabilities: able, parameters }) => ({
      name,
      features: new Set<string>([
        ...endpoints,
        ...Object.entries(able).flatMap(([capability, has]) => (has ? [capability] : [])),
      ]),
      parameters,
    })),
    services: SERVICES,
    habits: Object.entries(DEVIATIONS).map(([name, deviation]) => ({ name, ...deviation })),
  }
}
