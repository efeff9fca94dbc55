import type { Delivered } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Target } from '#core/servers.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { toRequest } from '../openai_compatible/request.ts'
import { type Service, USUAL } from '../openai_compatible/services.ts'
import type { Outgoing } from '../provider.ts'
import { refuseUnsupported } from '../unsupported.ts'
import { DROPPED, UNSUPPORTED } from './parameters.ts'

const SERVICE: Service = { ...USUAL, name: 'DeepSeek', dropped: DROPPED }

/** Builds the request of a call.
 *
 * @throws GatewayError `unsupported_parameter` for what DeepSeek cannot do. */
export function toDeepseekRequest(call: Call, target: Target, secret: string | null, delivered?: Delivered): Outgoing {
  refuseUnsupported(call, UNSUPPORTED)
  return toRequest(withThoughts(withThinking(call)), target, secret, delivered, SERVICE)
}

/** Translates the effort. DeepSeek maps every effort to one that it has, but thinking is switched off by a parameter of
 * its own. */
function withThinking(call: Call): Call {
  if (call.body.reasoning_effort !== 'none') return call
  const { reasoning_effort: _, ...rest } = call.body
  return { ...call, source: null, body: { thinking: { type: 'disabled' }, ...rest } }
}

/** While it thinks, DeepSeek refuses a conversation in which tools were called when a message of the assistant has no
 * `reasoning_content`. Many clients do not keep it, and other models give none; an empty one will do. */
function withThoughts(call: Call): Call {
  const { messages, thinking } = call.body
  if (!Array.isArray(messages) || !messages.some(callsTools)) return call
  if (isObject(thinking) && thinking.type === 'disabled') return call
  if (!messages.some(isThoughtless)) return call
  const whole = messages.map(message => (isThoughtless(message) ? withThought(message) : message))
  return { ...call, source: null, body: { ...call.body, messages: whole } }
}

function callsTools(message: JsonValue): boolean {
  return isObject(message) && Array.isArray(message.tool_calls) && message.tool_calls.length > 0
}

function isThoughtless(message: JsonValue): message is JsonObject {
  return isObject(message) && message.role === 'assistant' && typeof message.reasoning_content !== 'string'
}

function withThought(message: JsonObject): JsonObject {
  return { ...message, reasoning_content: typeof message.reasoning === 'string' ? message.reasoning : '' }
}
