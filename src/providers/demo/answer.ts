import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { exampleOf } from './example.ts'

const QUOTE_CHARACTERS_MAX = 200

/** What the demonstration model says to a request. */
export interface DemoAnswer {
  /** The text in pieces of a word each. */
  readonly words: readonly string[]
  readonly toolCall: { readonly name: string; readonly arguments: string } | null
  readonly finishReason: 'stop' | 'length' | 'tool_calls'
  readonly promptTokens: number
  readonly completionTokens: number
}

/** Answers a body of `/chat/completions` or `/completions`; the same body always gets the same answer.
 *
 * A word counts as a token. */
export function toAnswer(body: JsonObject): DemoAnswer {
  const messages = Array.isArray(body.messages) ? body.messages.filter(isObject) : []
  const texts = body.messages === undefined ? [promptOf(body.prompt)] : messages.map(message => textOf(message.content))
  const promptTokens = texts.reduce((sum, text) => sum + toWords(text).length, 0)
  const toolCall = toToolCall(body)
  if (toolCall !== null) {
    const completionTokens = 1 + toWords(toolCall.arguments).length
    return { words: [], toolCall, finishReason: 'tool_calls', promptTokens, completionTokens }
  }
  const last = messages.at(-1)
  const all = toWords(formatted(toText(last?.role, texts.at(-1) ?? ''), body.response_format))
  const limit = body.max_completion_tokens ?? body.max_tokens
  const words = typeof limit === 'number' && limit >= 0 ? all.slice(0, limit) : all
  const finishReason = words.length < all.length ? 'length' : 'stop'
  return { words, toolCall: null, finishReason, promptTokens, completionTokens: words.length }
}

function toText(role: JsonValue, said: string): string {
  const who = 'This is citadel-demo, the built-in demonstration model of this gateway. It repeats what it is told.'
  const quote = said.trim().slice(0, QUOTE_CHARACTERS_MAX)
  if (quote === '') return `${who} You sent no text.`
  return role === 'tool' ? `${who} The tool answered: “${quote}”` : `${who} You said: “${quote}”`
}

function formatted(text: string, format: JsonValue): string {
  if (!isObject(format)) return text
  if (format.type === 'json_object') return JSON.stringify({ answer: text })
  if (format.type !== 'json_schema' || !isObject(format.json_schema)) return text
  return JSON.stringify(exampleOf(format.json_schema.schema))
}

/** A tool is called only where the caller leaves no choice. */
function toToolCall(body: JsonObject): DemoAnswer['toolCall'] {
  const tools = Array.isArray(body.tools)
    ? body.tools
        .filter(isObject)
        .map(tool => tool.function)
        .filter(isObject)
    : []
  const choice = body.tool_choice
  const wanted = isObject(choice) && isObject(choice.function) ? choice.function.name : undefined
  const tool = choice === 'required' ? tools[0] : tools.find(({ name }) => name !== undefined && name === wanted)
  if (tool === undefined) return null
  const example = exampleOf(tool.parameters)
  return { name: String(tool.name), arguments: JSON.stringify(isObject(example) ? example : {}) }
}

function promptOf(prompt: JsonValue): string {
  return Array.isArray(prompt)
    ? prompt.map(part => (Array.isArray(part) ? part.join(' ') : String(part))).join(' ')
    : textOf(prompt)
}

function textOf(content: JsonValue): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map(part => (isObject(part) && typeof part.text === 'string' ? part.text : '')).join(' ')
}

/** Splits a text into pieces of which none is blank; joined they are the text again. The pattern looks for the ends of
 * words: to try at each blank would take hours for a text of many blanks. */
function toWords(text: string): readonly string[] {
  return text.trim() === '' ? [] : text.split(/(?<=\S)(?=\s+\S)/)
}
