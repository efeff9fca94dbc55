import type { TextField } from '#core/bypass.ts'
import type { DataFrame } from '#core/frame.ts'
import { isObject, type JsonValue } from '#lib/json.ts'
import type { Saying } from '../provider.ts'

const TEXT_FIELDS: readonly TextField[] = ['content', 'reasoning_content', 'reasoning', 'refusal']
/** OpenAI's padding, which keeps eavesdroppers from guessing an answer by the lengths of its events. */
const PADDING = 'obfuscation'
const NOTHING_IDLE: readonly string[] = []
const PADDED: readonly string[] = [PADDING]

/** Finds the only text in a chunk that is passed on unchanged: a text of one choice, and nothing else that the gateway
 * or a client reads. */
export function sayingOf({ kind, chunk }: DataFrame): Saying | null {
  const [choice] = chunk.choices ?? []
  if (kind !== 'delta' || !isObject(choice) || !isObject(choice.delta) || typeof choice.index !== 'number') return null
  if (!isEmpty(choice.logprobs) || !isEmpty(choice.reasoning_content) || !isEmpty(choice.text)) return null
  let field: TextField | null = null
  for (const [name, value] of Object.entries(choice.delta)) {
    if (name === 'role' || isEmpty(value)) continue
    const known = TEXT_FIELDS.find(each => each === name)
    if (known === undefined || typeof value !== 'string' || field !== null) return null
    field = known
  }
  if (field === null) return null
  const padded = isObject(chunk) && typeof chunk[PADDING] === 'string'
  return { choice: choice.index, field, idle: padded ? PADDED : NOTHING_IDLE }
}

function isEmpty(value: JsonValue): boolean {
  return value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)
}
