import type { JsonValue } from '#lib/json.ts'

/** Reasons for the end of an answer as other servers name them, with OpenAI's names. */
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

/** Translates why an answer ended. An unknown reason (`eos`, `end_turn`, `stop_sequence`) counts as `stop`, and TGI
 * says `stop` for tool calls too.
 *
 * @returns `null` while the answer goes on. */
export function fitReason(reason: JsonValue, hasToolCalls: boolean): string | null {
  if (typeof reason !== 'string' || reason === '') return null
  const known = REASONS[reason.toLowerCase()] ?? 'stop'
  return known === 'stop' && hasToolCalls ? 'tool_calls' : known
}
