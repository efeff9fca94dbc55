import { isObject } from '#lib/json.ts'
import { STREAM_OPTIONS } from '../openai_compatible/parameters.ts'
import { type Parameters, parametersWith } from '../parameters.ts'
import {
  CUSTOM_TOOLS,
  FUNCTIONS,
  LOGIT_BIAS,
  refusedParameters,
  SEVERAL_CHOICES,
  SPOKEN_ANSWERS,
  type Unsupported,
} from '../unsupported.ts'

/** What DeepSeek cannot do. */
export const UNSUPPORTED: readonly Unsupported[] = [
  SEVERAL_CHOICES,
  LOGIT_BIAS,
  ...SPOKEN_ANSWERS,
  FUNCTIONS,
  CUSTOM_TOOLS,
  {
    param: 'response_format',
    refused: value => isObject(value) && !['text', 'json_object'].includes(String(value.type)),
    what: 'a JSON schema',
    instead: 'use json_object and put the schema into the prompt, or call a tool',
    partly: true,
  },
]

/** The parameters that DeepSeek accepts and ignores. */
export const DROPPED: readonly string[] = [
  'seed',
  'parallel_tool_calls',
  'function_call',
  'verbosity',
  'prediction',
  'web_search_options',
  'user',
  'safety_identifier',
  'metadata',
  'store',
  'service_tier',
  'prompt_cache_key',
]

const dropped = Object.fromEntries(DROPPED.map(name => [name, { treatment: 'dropped' } as const]))

/** What becomes of each parameter of a chat at DeepSeek. */
export const parameters: Parameters = {
  chat: {
    ...parametersWith({}).chat,
    ...dropped,
    ...refusedParameters(UNSUPPORTED),
    messages: {
      treatment: 'converted',
      note: 'the role `developer` becomes `system`; beside tool calls, thoughts that are missing become empty `reasoning_content`',
    },
    max_completion_tokens: { treatment: 'renamed', to: 'max_tokens' },
    stream_options: STREAM_OPTIONS,
    reasoning_effort: { treatment: 'converted', note: '`none` becomes `thinking: {"type": "disabled"}`' },
    thinking: { treatment: 'passed', note: "DeepSeek's own" },
  },
}
