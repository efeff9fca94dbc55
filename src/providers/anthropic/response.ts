import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Chunk, DataFrame } from '#core/frame.ts'
import { parseExactly } from '#lib/exact-json.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { invalidAnswer, unreadableAnswer } from '../upstream-error.ts'
import { fromStopReason, isBlank, toHead, toRefusal } from './answer.ts'
import { fromAnthropicErrorBody } from './error.ts'
import { isAnswer } from './output.ts'
import { isThought, toReasoningDetail } from './reasoning.ts'
import { fromAnthropicUsage } from './usage.ts'

/** Reads a whole 2xx answer.
 *
 * @param created When it came, in Unix seconds. */
export function fromAnthropicResponse(call: Call, body: string, created: number): DataFrame | GatewayError {
  const answer = parseExactly(body)
  if (!isObject(answer)) return unreadableAnswer(body)
  if (answer.type === 'error') return fromAnthropicErrorBody(answer)
  if (!Array.isArray(answer.content)) return invalidAnswer('an answer without content')
  const message = toMessage(call, answer, answer.content.filter(isObject))
  const finish_reason = fromStopReason(answer.stop_reason, message.tool_calls !== undefined)
  const count = fromAnthropicUsage(answer.usage)
  const chunk = {
    ...toHead(answer, 'chat.completion', created),
    choices: [{ index: 0, message, logprobs: null, finish_reason }],
    ...(count !== null && { usage: count.raw }),
  }
  return { kind: 'finish', text: JSON.stringify(chunk), chunk: chunk as Chunk, usage: count?.usage ?? null }
}

/** Blocks of the server's own tools, and kinds that are not known yet, are left out. */
function toMessage(call: Call, answer: JsonObject, blocks: readonly JsonObject[]): JsonObject {
  const calls: JsonObject[] = []
  const details: JsonObject[] = []
  let content = ''
  let thoughts = ''
  for (const block of blocks) {
    if (block.type === 'text') content += block.text
    else if (block.type === 'tool_use' && isAnswer(call, block.name)) content += JSON.stringify(block.input ?? {})
    else if (block.type === 'tool_use') calls.push(toToolCall(block))
    else if (isThought(block)) {
      thoughts += block.thinking ?? ''
      details.push(toReasoningDetail(block, details.length + calls.length + (isBlank(content) ? 0 : 1)))
    }
  }
  const refusal = toRefusal(answer.stop_reason, answer.stop_details)
  return {
    role: 'assistant',
    content: content === '' && (calls.length > 0 || refusal !== null) ? null : content,
    refusal,
    ...(thoughts !== '' && { reasoning_content: thoughts }),
    ...(details.length > 0 && { reasoning_details: details }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
}

function toToolCall({ id, name, input }: JsonObject): JsonObject {
  return { id, type: 'function', function: { name, arguments: JSON.stringify(input ?? {}) } }
}
