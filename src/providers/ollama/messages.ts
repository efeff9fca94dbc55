import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { toArguments } from '../openai_compatible/tool-calls.ts'
import { contentOf, partsOf, refuse, refuseUntakable } from '../unsupported.ts'

/** Translates the messages of a chat: text in one piece, images apart, arguments of tool calls as objects. */
export function toOllamaMessages(messages: JsonValue): readonly JsonObject[] {
  const list = Array.isArray(messages) ? messages.filter(isObject) : []
  const names = new Map<JsonValue, JsonValue>()
  return list.map((message, at) => {
    refuseUntakable(message, `messages.${at}`)
    const calls = Array.isArray(message.tool_calls) ? message.tool_calls.filter(isObject) : []
    for (const call of calls) if (isObject(call.function)) names.set(call.id, call.function.name)
    const { text, images } = toContent(contentOf(message), `messages.${at}.content`)
    const isTool = message.role === 'tool'
    return {
      role: message.role === 'developer' ? 'system' : message.role,
      content: text,
      thinking: message.reasoning_content ?? message.reasoning ?? undefined,
      images: images.length > 0 ? images : undefined,
      tool_calls: calls.length > 0 ? calls.map(toOllamaToolCall) : undefined,
      tool_name: isTool ? (names.get(message.tool_call_id) ?? message.name) : undefined,
      tool_call_id: isTool ? message.tool_call_id : undefined,
    }
  })
}

interface Content {
  readonly text: string
  /** Base64, without the head of a data URL. */
  readonly images: readonly string[]
}

function toContent(content: JsonValue, path: string): Content {
  const texts: string[] = []
  const images: string[] = []
  for (const [at, part] of partsOf(content, path).entries()) {
    const place = `${path}.${at}`
    if (typeof part === 'string') texts.push(part)
    else if (!isObject(part))
      throw new GatewayError('invalid_request', `${place}: must be an object.`, { param: place })
    else if (part.type === 'image_url') images.push(toImage(part.image_url, place))
    else if (typeof part.text === 'string') texts.push(part.text)
    else if (typeof part.refusal === 'string') texts.push(part.refusal)
    else throw refuse(place, `content of the type ${String(part.type).slice(0, 40)}`, 'send text or images')
  }
  return { text: texts.join('\n'), images }
}

function toImage(value: JsonValue, place: string): string {
  const url = isObject(value) ? value.url : value
  const text = typeof url === 'string' ? url : ''
  const data = /^data:[^,]*;base64,/i.exec(text)
  if (data !== null) return text.slice(data[0].length)
  if (/^https?:/i.test(text)) throw refuse(place, 'addresses of images', 'send the image itself as a data: URL')
  throw new GatewayError('invalid_request', `${place}: must be a data: URL with base64.`, { param: place })
}

function toOllamaToolCall(call: JsonObject): JsonObject {
  const { name, arguments: given } = isObject(call.function) ? call.function : {}
  return { id: call.id, function: { name, arguments: toArguments(given) } }
}
