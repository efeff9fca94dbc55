import type { Parameter, Parameters } from '../parameters.ts'

const passed: Parameter = { treatment: 'passed' }
const dropped: Parameter = { treatment: 'dropped' }
const ours: Parameter = { treatment: 'converted', note: 'read by the gateway' }

function refused(note: string): Parameter {
  return { treatment: 'refused', note }
}

function converted(note: string): Parameter {
  return { treatment: 'converted', note }
}

/** What becomes of the parameters of a chat. What is not in this table is left out as well, since the API refuses what it
 * does not know. */
const CHAT: Readonly<Record<string, Parameter>> = {
  model: converted('the name of the model at the server'),
  messages: converted(
    'system and developer messages, wherever they stand, become `system`; results of tools become blocks of the user; images by address or base64, PDF and text files; `name` is left out',
  ),
  max_completion_tokens: { treatment: 'renamed', to: 'max_tokens', note: 'bounded by what the model can write' },
  max_tokens: converted('filled with the most that the model can write when absent, because the API asks for it'),
  stream: passed,
  stream_options: ours,
  fallbacks: ours,
  cache: ours,
  temperature: converted('0 to 1: what is above 1 becomes 1; dropped for models that take none, and while they think'),
  top_p: converted('dropped beside `temperature` from Claude 4.1 on, and where `temperature` is'),
  top_k: converted('passed; dropped where `temperature` is'),
  stop: { treatment: 'renamed', to: 'stop_sequences', note: 'texts of white space alone are dropped' },
  stop_sequences: passed,
  tools: converted('function tools; tools of the API itself, such as web search, pass as they are'),
  tool_choice: converted('`required` is `any`; refused where the model cannot be made to call a tool'),
  parallel_tool_calls: converted('`false` is `disable_parallel_tool_use`'),
  response_format: converted(
    'structured outputs from Claude 4.1 on, with bounds told in descriptions; else, and for JSON of any shape, a tool that must be called, without thinking',
  ),
  reasoning_effort: converted(
    'a thinking budget up to Claude 4.5, adaptive thinking and an effort from 4.6 on; dropped with a forced tool, and with a budget when the thoughts before the result of a tool are not sent back as `reasoning_details`',
  ),
  thinking: converted('passed; the same exceptions as for `reasoning_effort`'),
  output_config: converted('passed; what is made of other parameters wins'),
  user: converted('`metadata.user_id`; the hash of an address of mail or a telephone number'),
  safety_identifier: converted('`metadata.user_id`, as `user`'),
  metadata: converted('only `user_id`'),
  service_tier: converted('`auto`; `default` is `standard_only`; others dropped'),
  cache_control: passed,
  container: passed,
  context_management: passed,
  mcp_servers: passed,
  inference_geo: passed,
  speed: passed,
  frequency_penalty: dropped,
  presence_penalty: dropped,
  seed: dropped,
  store: dropped,
  prediction: dropped,
  prompt_cache_key: dropped,
  prompt_cache_options: dropped,
  prompt_cache_retention: dropped,
  verbosity: dropped,
  moderation: dropped,
  top_logprobs: dropped,
  function_call: dropped,
  n: refused('above 1'),
  logprobs: refused('the API tells none'),
  logit_bias: refused('the API takes none'),
  modalities: refused('other than text'),
  audio: refused('no spoken answers'),
  functions: refused('use tools'),
  web_search_options: refused('pass the tool for web search of the API in `tools`'),
}

export const parameters: Parameters = { chat: CHAT }

/** What becomes of a parameter of a chat. */
export function treatmentOf(name: string): Parameter['treatment'] {
  return CHAT[name]?.treatment ?? 'dropped'
}
