import type { Call } from '#core/call.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { isAnswer } from './output.ts'
import { isThought, toReasoningDetail } from './reasoning.ts'

/** A block of an answer that is still arriving. */
export type Block =
  | { readonly kind: 'text' }
  | { readonly kind: 'ignored' }
  | ToolBlock
  | { readonly kind: 'thought'; readonly place: number; readonly block: JsonObject }

interface ToolBlock {
  readonly kind: 'tool'
  /** The number of the tool call; `null` where its input is the answer itself. */
  readonly tool: number | null
  /** Whether any input has arrived. */
  readonly given: boolean
}

/** The effect of an event: the block as it is now, and the delta for the caller. */
interface Told {
  readonly block: Block
  readonly delta: JsonObject | null
}

/** Begins a block. Those of the server's own tools, and kinds that are not known yet, are left out.
 *
 * @param at How many blocks, and tool calls, were before it. */
export function openBlock(given: JsonObject, call: Call, at: { readonly place: number; readonly tool: number }): Told {
  if (given.type === 'text') return { block: { kind: 'text' }, delta: textDelta('content', given.text) }
  if (isThought(given)) {
    return {
      block: { kind: 'thought', place: at.place, block: given },
      delta: textDelta('reasoning_content', given.thinking),
    }
  }
  if (given.type !== 'tool_use') return { block: { kind: 'ignored' }, delta: null }
  // Some servers give the whole input at once.
  const input = isObject(given.input) && Object.keys(given.input).length > 0 ? JSON.stringify(given.input) : ''
  if (isAnswer(call, given.name)) {
    return { block: { kind: 'tool', tool: null, given: input !== '' }, delta: textDelta('content', input) }
  }
  const head = { index: at.tool, id: given.id, type: 'function', function: { name: given.name, arguments: input } }
  return { block: { kind: 'tool', tool: at.tool, given: input !== '' }, delta: { tool_calls: [head] } }
}

/** Takes one delta of a block. */
export function stepBlock(block: Block, delta: JsonObject): Told {
  if (block.kind === 'thought') return stepThought(block.block, block.place, delta)
  if (block.kind === 'ignored') return { block, delta: null }
  if (block.kind === 'text')
    return { block, delta: delta.type === 'text_delta' ? textDelta('content', delta.text) : null }
  const piece = delta.type === 'input_json_delta' && typeof delta.partial_json === 'string' ? delta.partial_json : ''
  if (piece === '') return { block, delta: null }
  return { block: block.given ? block : { ...block, given: true }, delta: toInput(block, piece) }
}

/** Ends a block. */
export function stopBlock(block: Block): { readonly detail: JsonObject | null; readonly delta: JsonObject | null } {
  if (block.kind === 'thought') return { detail: toReasoningDetail(block.block, block.place), delta: null }
  // For a tool without arguments only an empty piece of input arrives.
  return { detail: null, delta: block.kind === 'tool' && !block.given ? toInput(block, '{}') : null }
}

function stepThought(thought: JsonObject, place: number, delta: JsonObject): Told {
  if (delta.type === 'thinking_delta') {
    const thinking = String(thought.thinking ?? '') + String(delta.thinking ?? '')
    return {
      block: { kind: 'thought', place, block: { ...thought, thinking } },
      delta: textDelta('reasoning_content', delta.thinking),
    }
  }
  const signature = String(thought.signature ?? '') + String(delta.signature ?? '')
  const block = delta.type === 'signature_delta' ? { ...thought, signature } : thought
  return { block: { kind: 'thought', place, block }, delta: null }
}

function textDelta(channel: string, text: JsonValue): JsonObject | null {
  return typeof text === 'string' && text !== '' ? { [channel]: text } : null
}

function toInput({ tool }: ToolBlock, piece: string): JsonObject {
  return tool === null ? { content: piece } : { tool_calls: [{ index: tool, function: { arguments: piece } }] }
}
