import type { JsonValue } from '#lib/json.ts'

/** Why an answer ended, in the words of other servers. */
const REASONS: Readonly<Record<string, string>> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool_calls',
  content_filter: 'content_filter',
  function_call: 'function_call',
  // Mistral, Anthropic's compatible endpoint, TGI.
  model_length: 'length',
  max_tokens: 'length',
  tool_use: 'tool_calls',
  safety: 'content_filter',
  refusal: 'content_filter',
}

/** Why an answer ended, in OpenAI's words. What is unknown (`eos`, `end_turn`, `stop_sequence`) is the usual end; TGI
 * says `stop` for tool calls too.
 *
 * @returns Null while it goes on. */
export function fitReason(reason: JsonValue, hasToolCalls: boolean): string | null {
  if (typeof reason !== 'string' || reason === '') return null
  const known = REASONS[reason.toLowerCase()] ?? 'stop'
  return known === 'stop' && hasToolCalls ? 'tool_calls' : known
}
