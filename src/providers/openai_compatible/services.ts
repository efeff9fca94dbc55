import type { Server, Target } from '#core/servers.ts'
import { CACHE_MARK } from './cache-marks.ts'

/** How a service differs from OpenAI in what it accepts. A parameter that it refuses and that the answer depends on is
 * still sent: the service's own error is clearer than an answer that silently ignores it. */
export interface Service {
  readonly name: string
  /** Its hosts; the dialects that stand for one service name theirs. */
  readonly host: RegExp | null
  /** Parameters of a chat that it knows by another name only. */
  readonly renamed: Readonly<Record<string, string>>
  /** Parameters of a chat that it refuses although the answer does not depend on them: left out, and told. */
  readonly dropped: readonly string[]
  /** Whether it knows the role `developer`; else such messages become those of `system`. */
  readonly developer: boolean
  /** Fields of a message that it refuses. */
  readonly messageFields: readonly string[]
  /** Whether it takes only its own ids of tool calls, nine letters and digits; others become such. */
  readonly shortCallIds: boolean
  /** Whether it refuses instructions behind an answer, and the user right behind the result of a tool. */
  readonly strictOrder: boolean
  /** Whether a stream counts tokens without being asked, and refuses to be asked. */
  readonly countsUnasked: boolean
  /** How its models that think differ from the others; told apart by the name of the model. */
  readonly thinking: ({ readonly models: RegExp } & Partial<Pick<Service, 'renamed' | 'messageFields'>>) | null
  /** The header that carries the credential. */
  readonly keyHeader: 'authorization' | 'api-key'
  readonly note: string
}

/** A self-hosted model server: all know `max_tokens` and `system`; some do not know the newer names, and ignore them
 * silently. */
export const USUAL: Service = {
  name: 'model servers',
  host: null,
  renamed: { max_completion_tokens: 'max_tokens' },
  dropped: [],
  developer: false,
  messageFields: [],
  shortCallIds: false,
  strictOrder: false,
  countsUnasked: false,
  thinking: null,
  keyHeader: 'authorization',
  note: 'vLLM, llama.cpp, LM Studio, TGI and every address that is not named here.',
}

/** A service at an unknown address; it is called as OpenAI is. */
const UNTOUCHED: Service = { ...USUAL, name: 'as OpenAI', renamed: {}, developer: true, note: '' }

/** Fields of messages that strict services refuse: names, and fields that answers of other dialects carry. */
const STRANGE = ['name', 'reasoning_content', 'reasoning_details', 'extra_content'] as const
/** Fields that answers of OpenAI carry, and answers of other dialects as the gateway writes them; mostly null. */
const OPENAIS = ['refusal', 'annotations', 'audio'] as const
/** Parameters that only OpenAI knows. */
const OPENAI_ONLY = ['verbosity', 'safety_identifier'] as const

/** The services that are told apart by their address. */
export const SERVICES: readonly Service[] = [
  {
    ...UNTOUCHED,
    name: 'OpenAI',
    host: /^api\.openai\.com$/,
    // Reasoning models refuse the older name; the others know both.
    renamed: { max_tokens: 'max_completion_tokens' },
    dropped: [CACHE_MARK],
    note: 'Reasoning models refuse `max_tokens`.',
  },
  {
    ...UNTOUCHED,
    name: 'Azure',
    host: /\.(?:openai|services\.ai|cognitiveservices)\.azure\.(?:com|us|cn)$/,
    dropped: [CACHE_MARK],
    // Reasoning models refuse the older name of the limit; others know only that one in older versions of the API.
    thinking: { models: /(?:^|[^a-z0-9])o\d(?!\d)|gpt-?[5-9]/i, renamed: { max_tokens: 'max_completion_tokens' } },
    keyHeader: 'api-key',
    note: 'Models that think, told by the name of the deployment (`o3-mini`, `gpt-5`), refuse `max_tokens` and get `max_completion_tokens`. The key goes into `api-key`; with `?api-version=` the name of the deployment goes into the path.',
  },
  {
    ...USUAL,
    name: 'Mistral',
    host: /(?:^|\.)mistral\.ai$/,
    // It answers 422 to every field that it does not know (`extra_forbidden`).
    renamed: { ...USUAL.renamed, seed: 'random_seed' },
    dropped: ['user', 'safety_identifier', 'store', 'service_tier', 'verbosity', CACHE_MARK],
    messageFields: [...STRANGE, ...OPENAIS, 'reasoning'],
    shortCallIds: true,
    strictOrder: true,
    countsUnasked: true,
    note: 'Refuses every field that it does not know, and ids of tool calls other than its own, which are made short. Instructions behind an answer, which it refuses too, go before the conversation, or come from the user where they end it; behind the result of a tool the user comes after an answer `OK.`',
  },
  {
    ...USUAL,
    name: 'Groq',
    host: /^api\.groq\.com$/,
    renamed: {},
    // It answers 400 to fields that it does not know, those of messages too.
    dropped: [...OPENAI_ONLY, 'prompt_cache_key', 'prompt_cache_retention', CACHE_MARK],
    messageFields: [...STRANGE, ...OPENAIS, 'reasoning'],
    thinking: { models: /gpt-oss|qwen/i, messageFields: [...STRANGE, ...OPENAIS] },
    note: 'Refuses `name` in messages, and fields that it does not know; `reasoning`, its own word for thoughts, goes back to models that think (gpt-oss, Qwen), and others refuse it.',
  },
  {
    ...USUAL,
    name: 'Cerebras',
    host: /^api\.cerebras\.ai$/,
    renamed: {},
    // It answers 400 to fields that it does not know, also to the one that the gateway adds to its own answers.
    dropped: ['store', 'metadata', ...OPENAI_ONLY, 'prompt_cache_retention', CACHE_MARK],
    messageFields: ['reasoning_content', 'reasoning_details', 'extra_content', ...OPENAIS],
    note: 'Refuses fields that it does not know; `reasoning`, its own word for thoughts, goes back as it came.',
  },
  {
    ...USUAL,
    name: 'Fireworks',
    host: /(?:^|\.)fireworks\.ai$/,
    dropped: [CACHE_MARK],
    // It answers 400 to fields of messages that it does not know.
    messageFields: ['reasoning', 'reasoning_details', 'extra_content', ...OPENAIS],
    note: 'Refuses fields that it does not know; `reasoning_content`, its own word for thoughts, goes back as it came.',
  },
  {
    ...USUAL,
    name: 'Google',
    host: /^generativelanguage\.googleapis\.com$/,
    // It answers 400 to fields that it does not know, and to null in those that it knows.
    dropped: ['store', ...OPENAI_ONLY, 'prompt_cache_key', 'prompt_cache_retention', CACHE_MARK],
    messageFields: ['reasoning', 'reasoning_content', 'reasoning_details', ...OPENAIS],
    note: "Google's OpenAI-compatible endpoint; the kind `gemini` tells more. Refuses fields that it does not know.",
  },
  {
    ...UNTOUCHED,
    name: 'OpenRouter and other gateways',
    host: /(?:^|\.)(?:openrouter\.ai|ai-gateway\.vercel\.sh|models\.github\.ai|gateway\.ai\.cloudflare\.com)$/,
    note: 'Pass calls on to many providers, OpenAI among them, and know which of them takes what.',
  },
  USUAL,
]

const known = new WeakMap<Server, Service>()

/** Finds which service a server is; looked up once for each server. */
export function serviceOf(server: Server): Service {
  let service = known.get(server)
  if (service === undefined) {
    service = serviceAt(server)
    known.set(server, service)
  }
  return service
}

const fitted = new WeakMap<Target, Service>()

/** What the service of a target takes for its model; put together once for each target. */
export function serviceFor(target: Target): Service {
  let service = fitted.get(target)
  if (service === undefined) {
    const general = serviceOf(target.server)
    const { thinking } = general
    service = thinking?.models.test(target.upstreamModel) ? { ...general, ...thinking } : general
    fitted.set(target, service)
  }
  return service
}

function serviceAt({ kind, baseUrl }: Server): Service {
  const host = URL.parse(baseUrl)?.hostname ?? ''
  const found = SERVICES.find(service => service.host?.test(host))
  return found ?? (kind === 'openai' ? UNTOUCHED : USUAL)
}
