import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** Fields of a message or delta that OpenAI leaves out where other servers send null or another invalid value. */
const SHAPES = [
  ['tool_calls', Array.isArray],
  ['function_call', isObject],
  ['annotations', Array.isArray],
] as const

/** Whether a delta can go on as it came, as nearly all do; asked of every chunk. */
export function isUsualDelta({ content, role, tool_calls: calls, reasoning, reasoning_content }: JsonObject): boolean {
  if (calls !== undefined && (!Array.isArray(calls) || calls.length > 0)) return false
  if (role !== undefined && role !== 'assistant') return false
  if (typeof content === 'object' && content !== null) return false
  return !reasoning || isText(reasoning_content)
}

/** Corrects the fields of a message or delta: a list as content, null or a number in place of a list, and thinking in a
 * field of another name.
 *
 * @returns The same object when nothing had to change. */
export function fitFields(part: JsonObject): JsonObject {
  let fitted = part
  if (Array.isArray(part.content)) fitted = { ...fitted, ...splitContent(part.content) }
  // Groq, OpenRouter, newer vLLM and Ollama's `/v1` say `reasoning`; both are kept, for clients that know either.
  if (isText(part.reasoning) && !isText(part.reasoning_content)) {
    fitted = { ...fitted, reasoning_content: part.reasoning }
  }
  for (const [name, hasShape] of SHAPES) {
    if (fitted[name] === undefined || hasShape(fitted[name])) continue
    const { [name]: _, ...rest } = fitted
    fitted = rest
  }
  const calls = fitted.tool_calls
  return Array.isArray(calls) && !calls.every(isObject) ? { ...fitted, tool_calls: calls.filter(isObject) } : fitted
}

/** Splits the list that Mistral's thinking models send as content into text and thinking. */
function splitContent(parts: readonly JsonValue[]): JsonObject {
  const thinking = parts.filter(isThinking).map(textOf).join('')
  const content = parts
    .filter(part => !isThinking(part))
    .map(textOf)
    .join('')
  return thinking === '' ? { content } : { content, reasoning_content: thinking }
}

function isThinking(part: JsonValue): boolean {
  return isObject(part) && part.type === 'thinking'
}

function textOf(part: JsonValue): string {
  if (typeof part === 'string') return part
  if (!isObject(part)) return ''
  if (Array.isArray(part.thinking)) return part.thinking.map(textOf).join('')
  return isText(part.thinking) ? part.thinking : isText(part.text) ? part.text : ''
}

function isText(value: JsonValue): value is string {
  return typeof value === 'string' && value !== ''
}
