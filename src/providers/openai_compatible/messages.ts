import { sha256 } from '#lib/hash.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { contentOf } from '../unsupported.ts'
import { CACHE_MARK, withoutCacheMarks } from './cache-marks.ts'
import { inStrictOrder } from './order.ts'
import type { Service } from './services.ts'

/** The messages in the roles and with the fields that a service knows; the same list when nothing has to change. */
export function toMessages(given: JsonValue, service: Service): JsonValue {
  if (!Array.isArray(given)) return given
  const messages = service.strictOrder ? inStrictOrder(given) : given
  const unmarked = service.dropped.includes(CACHE_MARK) ? withoutCacheMarks(messages) : messages
  if (!Array.isArray(unmarked) || !unmarked.some(message => isForeign(message, service))) return unmarked
  return unmarked.map(message => toMessage(message, service))
}

function toMessage(message: JsonValue, service: Service): JsonValue {
  if (!isObject(message) || !isForeign(message, service)) return message
  const { tool_calls: calls, tool_call_id: answered, content } = message
  const said = contentOf(message)
  const fields = Object.fromEntries(service.messageFields.map(name => [name, undefined]))
  return {
    ...message,
    ...fields,
    ...(said !== content && !service.developer && { content: said }),
    ...(message.role === 'developer' && !service.developer && { role: 'system' }),
    ...(Array.isArray(calls) && { tool_calls: calls.map(call => toCall(call, service)) }),
    ...(service.shortCallIds && isLongId(answered) && { tool_call_id: toShortId(answered) }),
  }
}

/** Whether a service would refuse a message, or not understand it. */
function isForeign(message: JsonValue, { developer, messageFields, shortCallIds }: Service): boolean {
  if (!isObject(message)) return false
  // Who knows the newer role knows refusals; others refuse a message that seems to say nothing.
  if (!developer && (message.role === 'developer' || contentOf(message) !== message.content)) return true
  if (messageFields.length === 0) return false
  if (messageFields.some(name => message[name] !== undefined)) return true
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls.filter(isObject) : []
  if (calls.some(call => isSignedInVain(call, messageFields))) return true
  return shortCallIds && (isLongId(message.tool_call_id) || calls.some(({ id }) => isLongId(id)))
}

function toCall(call: JsonValue, { messageFields, shortCallIds }: Service): JsonValue {
  if (!isObject(call) || messageFields.length === 0) return call
  return {
    ...call,
    ...(shortCallIds && isLongId(call.id) && { id: toShortId(call.id) }),
    ...(isSignedInVain(call, messageFields) && { extra_content: undefined }),
  }
}

/** Whether a tool call has a signature, which only Gemini knows. */
function isSignedInVain({ extra_content: extra }: JsonObject, messageFields: readonly string[]): boolean {
  return extra !== undefined && messageFields.includes('extra_content')
}

const SHORT_ID = /^[a-zA-Z0-9]{9}$/

/** Whether an id does not have the form that the service requires. */
function isLongId(id: JsonValue): id is string {
  return typeof id === 'string' && !SHORT_ID.test(id)
}

/** Makes an id that is the same for a call and for its result, in each request of a conversation. */
function toShortId(id: string): string {
  return sha256(id).slice(0, 9)
}
