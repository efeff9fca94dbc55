import type { Endpoint } from '#core/call.ts'

/** What a dialect does with one parameter of OpenAI's request.
 *
 * - `passed`: goes upstream as it is
 * - `renamed`: goes upstream under the name `to`
 * - `converted`: means the same in another shape, which `note` tells
 * - `dropped`: left out, and the caller is told by a header
 * - `refused`: HTTP 400 `unsupported_parameter`, because the answer would not be what was asked for */
export interface Parameter {
  readonly treatment: 'passed' | 'renamed' | 'converted' | 'dropped' | 'refused'
  readonly to?: string
  readonly note?: string
}

/** One table a dialect: for each endpoint that it offers, each parameter that it knows of. */
export type Parameters = Readonly<Partial<Record<Endpoint, Readonly<Record<string, Parameter>>>>>

const SAMPLING = ['temperature', 'top_p', 'frequency_penalty', 'presence_penalty', 'seed', 'stop', 'n', 'logit_bias']

/** Every parameter of OpenAI's requests, by endpoint, but `model`: the rows of the support matrix. */
export const OPENAI_PARAMETERS: Readonly<Record<Endpoint, readonly string[]>> = {
  chat: [
    'messages',
    'stream',
    'stream_options',
    'max_completion_tokens',
    'max_tokens',
    ...SAMPLING,
    'logprobs',
    'top_logprobs',
    'tools',
    'tool_choice',
    'parallel_tool_calls',
    'functions',
    'function_call',
    'response_format',
    'reasoning_effort',
    'verbosity',
    'modalities',
    'audio',
    'prediction',
    'web_search_options',
    'user',
    'safety_identifier',
    'metadata',
    'store',
    'service_tier',
    'prompt_cache_key',
  ],
  completions: [
    'prompt',
    'stream',
    'stream_options',
    'max_tokens',
    ...SAMPLING,
    'logprobs',
    'suffix',
    'echo',
    'best_of',
    'user',
  ],
  embeddings: ['input', 'encoding_format', 'dimensions', 'user'],
}

/** What goes upstream as it is: every parameter of these endpoints but those that `more` treats otherwise. */
export function parametersWith(more: Parameters): Parameters {
  const tables = Object.entries(OPENAI_PARAMETERS).map(([endpoint, names]) => {
    const own = more[endpoint as Endpoint] ?? {}
    return [endpoint, { ...Object.fromEntries(names.map(name => [name, PASSED])), ...own }]
  })
  return Object.fromEntries(tables)
}

const PASSED: Parameter = { treatment: 'passed' }
