import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** The format of thoughts that this API signed. It refuses the signatures of other servers. */
const FORMAT = 'anthropic-claude-v1'

/** A thought, and its place among the blocks of its message. */
interface PlacedBlock {
  readonly at: number
  readonly block: JsonObject
}

/** Whether a block is a thought of the model. */
export function isThought({ type }: JsonObject): boolean {
  return type === 'thinking' || type === 'redacted_thinking'
}

/** The thoughts of an answer as callers keep them and send them back, so that the model can go on from them behind the
 * result of a tool. The shape is the one that OpenRouter gave them.
 *
 * @param block A block of the type `thinking` or `redacted_thinking`.
 * @param index How many blocks stand before it, texts counted as one. */
export function toReasoningDetail(block: JsonObject, index: number): JsonObject {
  if (block.type === 'redacted_thinking') {
    return { type: 'reasoning.encrypted', data: block.data, format: FORMAT, index }
  }
  return { type: 'reasoning.text', text: block.thinking ?? '', signature: block.signature, format: FORMAT, index }
}

/** Makes blocks of the thoughts that a caller sends back. Thoughts without a signature, or with another server's, are
 * left out. */
export function toThinkingBlocks(details: JsonValue): readonly PlacedBlock[] {
  const list = Array.isArray(details) ? details.filter(isObject) : []
  return list.flatMap((detail, position) => {
    const block = toThinkingBlock(detail)
    return block === null ? [] : [{ at: typeof detail.index === 'number' ? detail.index : position, block }]
  })
}

function toThinkingBlock({ type, format, text, signature, data }: JsonObject): JsonObject | null {
  if ((format ?? FORMAT) !== FORMAT) return null
  if (type === 'reasoning.encrypted') return typeof data === 'string' ? { type: 'redacted_thinking', data } : null
  if (type !== 'reasoning.text' || typeof signature !== 'string' || signature === '') return null
  return { type: 'thinking', thinking: text ?? '', signature }
}
