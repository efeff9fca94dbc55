import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

const REASONS: ReadonlyMap<JsonValue, string> = new Map([
  ['end_turn', 'stop'],
  ['stop_sequence', 'stop'],
  ['pause_turn', 'stop'],
  ['tool_use', 'tool_calls'],
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['refusal', 'content_filter'],
])

/** Why an answer ended, in OpenAI's words. Calls of the tool that stands for the answer itself do not count as tool
 * calls. */
export function fromStopReason(reason: JsonValue, hasToolCalls: boolean): string {
  const known = REASONS.get(reason) ?? 'stop'
  return known === 'tool_calls' && !hasToolCalls ? 'stop' : known
}

/** The text with which the model refuses a request; `null` if it did not refuse. */
export function toRefusal(reason: JsonValue, details: JsonValue): string | null {
  if (reason !== 'refusal') return null
  const explanation = isObject(details) ? details.explanation : null
  return typeof explanation === 'string' && explanation !== '' ? explanation : 'The model refuses to answer.'
}

/** The head that all chunks of an answer share.
 *
 * @param created Unix seconds: the API does not say when. */
export function toHead({ id, model }: JsonObject, object: string, created: number): JsonObject {
  return { id: id ?? '', object, created, model: model ?? '' }
}

/** Whether a text is empty or white space: the API refuses such texts in a conversation. */
export function isBlank(text: string): boolean {
  return text.trim() === ''
}
