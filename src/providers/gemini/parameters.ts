import type { Call, Endpoint } from '#core/call.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import type { Parameter, Parameters } from '../parameters.ts'
import { refuse } from '../unsupported.ts'

/** OpenAI's parameters, and the common one beside them, by their names in `generationConfig`; the later one wins. */
export const GENERATION: Readonly<Record<string, string>> = {
  temperature: 'temperature',
  top_p: 'topP',
  top_k: 'topK',
  max_tokens: 'maxOutputTokens',
  max_completion_tokens: 'maxOutputTokens',
  n: 'candidateCount',
  seed: 'seed',
  presence_penalty: 'presencePenalty',
  frequency_penalty: 'frequencyPenalty',
  logprobs: 'responseLogprobs',
}

const passed: Parameter = { treatment: 'passed' }
const dropped: Parameter = { treatment: 'dropped' }
const converted = (note: string, to?: string): Parameter => ({ treatment: 'converted', note, ...(to && { to }) })
const refused = (note: string): Parameter => ({ treatment: 'refused', note })
const renamed = (to: string, note?: string): Parameter => ({ treatment: 'renamed', to, ...(note && { note }) })

/** The treatment of each parameter. Requests are built by it too: it decides what is dropped and refused. */
export const parameters = {
  chat: {
    ...Object.fromEntries(Object.entries(GENERATION).map(([name, to]) => [name, renamed(`generationConfig.${to}`)])),
    model: passed,
    messages: converted(
      'system and developer messages become the system instruction; reasoning_content and the detail of images are left out',
      'contents',
    ),
    n: renamed('generationConfig.candidateCount', 'at most 8'),
    stop: renamed('generationConfig.stopSequences', 'at most 5'),
    top_logprobs: renamed('generationConfig.logprobs', 'at most 20'),
    stream: converted('another method of the API'),
    stream_options: converted('usage is always counted'),
    tools: converted('functions only; what Gemini cannot express of a schema is left out', 'functionDeclarations'),
    tool_choice: converted('AUTO, NONE or ANY with the allowed names', 'toolConfig'),
    response_format: converted('a schema with what Gemini cannot express is refused', 'responseJsonSchema'),
    reasoning_effort: converted(
      'the nearest level that the model knows from Gemini 3 on, a budget for 2.5, dropped before',
      'thinkingConfig',
    ),
    service_tier: converted('`flex`, `priority` and `standard`; others dropped'),
    extra_body: converted('google.thinking_config, google.cached_content and google.safety_settings'),
    modalities: refused('ask for text'),
    audio: refused('ask for text'),
    functions: refused('use tools'),
    function_call: refused('use tool_choice'),
    logit_bias: refused('leave it out'),
    web_search_options: refused('leave it out'),
    parallel_tool_calls: dropped,
    metadata: dropped,
    moderation: dropped,
    prediction: dropped,
    prompt_cache_key: dropped,
    prompt_cache_options: dropped,
    prompt_cache_retention: dropped,
    safety_identifier: dropped,
    store: dropped,
    user: dropped,
    verbosity: dropped,
  },
  embeddings: {
    model: passed,
    input: converted('texts only, at most 100', 'requests'),
    dimensions: renamed('outputDimensionality'),
    task_type: renamed('taskType'),
    encoding_format: converted('base64 is written by the gateway'),
    user: dropped,
  },
} as const satisfies Parameters

const TABLES: Readonly<Partial<Record<Endpoint, ReadonlyMap<string, Parameter>>>> = {
  chat: new Map(Object.entries(parameters.chat)),
  embeddings: new Map(Object.entries(parameters.embeddings)),
}

/** Fields of the body that are the gateway's own. */
const OWN_FIELDS: ReadonlySet<string> = new Set(['fallbacks', 'cache'])

const isDefault =
  (...values: readonly JsonValue[]) =>
  (value: JsonValue) =>
    values.includes(value)

/** Values that ask for the default behaviour. */
const NEUTRAL: ReadonlyMap<string, (value: JsonValue) => boolean> = new Map([
  ['n', isDefault(1)],
  ['presence_penalty', isDefault(0)],
  ['frequency_penalty', isDefault(0)],
  ['parallel_tool_calls', isDefault(true)],
  ['service_tier', isDefault('auto', 'default')],
  ['verbosity', isDefault('medium')],
  ['function_call', isDefault('auto', 'none')],
  // Empty options ask for a search, too.
  ['web_search_options', isDefault(false)],
  ['modalities', (value: JsonValue) => Array.isArray(value) && value.every(kind => kind === 'text')],
])

/** Whether a parameter asks for something other than the default behaviour. */
export function isAsked(body: JsonObject, name: string): boolean {
  const value = body[name]
  if (value === undefined || value === null) return false
  const isNeutral = NEUTRAL.get(name)
  if (isNeutral !== undefined) return !isNeutral(value)
  if (value === false || value === '') return false
  return Array.isArray(value) ? value.length > 0 : !isObject(value) || Object.keys(value).length > 0
}

/** The parameters of a call that are left out, unknown ones included.
 *
 * @throws GatewayError `unsupported_parameter` for those without which the answer would not be what was asked for. */
export function droppedOf({ body, endpoint }: Call): readonly string[] {
  const table = TABLES[endpoint]
  const left: string[] = []
  for (const name in body) {
    if (OWN_FIELDS.has(name) || !isAsked(body, name)) continue
    const { treatment, note } = table?.get(name) ?? dropped
    if (treatment === 'refused') throw refuse(name, `the parameter ${name}`, note ?? 'leave it out')
    if (treatment === 'dropped') left.push(name)
  }
  return left
}
