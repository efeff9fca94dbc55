import { isObject, type JsonValue } from '#lib/json.ts'

/** Puts instructions that stand right behind an answer, or the result of a tool, before the conversation.
 *
 * @returns The same list when there are none. */
export function withInstructionsFirst(messages: readonly JsonValue[]): readonly JsonValue[] {
  const late: JsonValue[] = []
  const others: JsonValue[] = []
  for (const message of messages) {
    const isLate = isOf(message, ['system', 'developer']) && isOf(others.at(-1), ['assistant', 'tool'])
    if (isLate) late.push(message)
    else others.push(message)
  }
  if (late.length === 0) return messages
  const begin = others.findIndex(message => !isOf(message, ['system', 'developer']))
  return others.toSpliced(begin, 0, ...late)
}

function isOf(message: JsonValue, roles: readonly JsonValue[]): boolean {
  return isObject(message) && roles.includes(message.role)
}
