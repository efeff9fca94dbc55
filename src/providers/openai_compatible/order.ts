import { isObject, type JsonValue } from '#lib/json.ts'
import { contentOf, isFilledArray } from '../unsupported.ts'

const INSTRUCTIONS = ['system', 'developer'] as const
/** Stands between the result of a tool and the user. */
const BRIDGE = { role: 'assistant', content: 'OK.' } as const

/** Puts messages into an order that Mistral takes: instructions that stand right behind an answer, or the result of a
 * tool, go before the conversation; those that end it behind an answer come from the user, because it cannot end with
 * the answer; the user is not heard right behind the result of a tool; and answers that say nothing are left out.
 *
 * @returns The same list when it has this order. */
export function inStrictOrder(messages: readonly JsonValue[]): readonly JsonValue[] {
  const end = messages.findLastIndex(message => !isOf(message, INSTRUCTIONS))
  const endsWithAnswer = isOf(messages[end], ['assistant'])
  const late: JsonValue[] = []
  const others: JsonValue[] = []
  for (const [at, message] of messages.entries()) {
    const before = others.at(-1)
    if (isSilent(message)) continue
    if (at > end && endsWithAnswer && isObject(message)) others.push({ ...message, role: 'user' })
    else if (isOf(message, INSTRUCTIONS) && isOf(before, ['assistant', 'tool'])) late.push(message)
    else if (isOf(message, ['user']) && isOf(before, ['tool'])) others.push(BRIDGE, message)
    else others.push(message)
  }
  if (others.length === messages.length && others.every((message, at) => message === messages[at])) return messages
  const begin = others.findIndex(message => !isOf(message, INSTRUCTIONS))
  return others.toSpliced(begin, 0, ...late)
}

function isOf(message: JsonValue, roles: readonly JsonValue[]): boolean {
  return isObject(message) && roles.includes(message.role)
}

/** Whether a message is an answer that was cut before it said anything. */
function isSilent(message: JsonValue): boolean {
  if (!isObject(message) || message.role !== 'assistant' || isFilledArray(message.tool_calls)) return false
  const content = contentOf(message) ?? ''
  return content === '' || (Array.isArray(content) && content.length === 0)
}
