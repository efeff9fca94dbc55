/** What a strict client would hold against the chunks of a stream; an empty list when nothing.
 *
 * The rules are what clients of OpenAI's format throw at: a role first, an array of choices in each chunk, one finish
 * per choice, complete tool calls numbered from 0, arguments that parse, usage once and last.
 *
 * @param texts What went to the caller, each text one event.
 * @param options.completions For the text chunks of `/completions`.
 * @param options.usage Whether the caller asked for usage. */
export function strictProblems(
  texts: readonly string[],
  options: { readonly completions?: boolean; readonly usage?: boolean } = {},
): string[] {
  const problems: string[] = []
  const choices = new Map<number, ChoiceSeen>()
  let counted = false
  for (const [at, text] of texts.entries()) {
    const say = (problem: string) => problems.push(`event ${at}: ${problem}`)
    const chunk = toChunk(text)
    if (chunk === null) say(`is no event of one object: ${text.slice(0, 80)}`)
    else {
      if (counted) say('comes after the usage')
      checkHead(chunk, options, say)
      if (isObject(chunk.usage)) counted = true
      const list = Array.isArray(chunk.choices) ? chunk.choices : []
      for (const choice of list) checkChoice(choice, choices, options.completions === true, say)
    }
  }
  if (choices.size === 0) problems.push('there was no choice')
  for (const [index, seen] of choices) {
    if (seen.finishes !== 1) problems.push(`choice ${index} finished ${seen.finishes} times`)
    for (const [place, tool] of seen.tools) {
      if (!isJson(tool.arguments)) problems.push(`tool call ${place} has arguments that are no JSON: ${tool.arguments}`)
    }
  }
  return problems
}

interface ChoiceSeen {
  finishes: number
  readonly tools: Map<number, { readonly id: string; arguments: string }>
}

type Say = (problem: string) => void
type Value = Readonly<Record<string, unknown>>

function toChunk(text: string): Value | null {
  const data = /^data: ([^\n\r]*)\n\n$/.exec(text)?.[1]
  const value: unknown = data !== undefined && isJson(data) ? JSON.parse(data) : null
  return isObject(value) ? value : null
}

function checkHead(chunk: Value, options: { readonly usage?: boolean }, say: Say): void {
  if (chunk.error) say('is an error')
  if (typeof chunk.id !== 'string') say('has no id')
  if (typeof chunk.model !== 'string') say('has no model')
  if (typeof chunk.created !== 'number') say('has no created')
  if (!Array.isArray(chunk.choices)) say('has no choices')
  if (options.usage !== true && 'usage' in chunk && !isUsageOnly(chunk)) say('has usage that nobody asked for')
  if (isObject(chunk.usage) && !isUsageOnly(chunk)) say('has usage beside choices')
  if (isObject(chunk.x_groq) && chunk.x_groq.usage !== undefined) say('has usage in x_groq')
}

function isUsageOnly(chunk: Value): boolean {
  return isObject(chunk.usage) && Array.isArray(chunk.choices) && chunk.choices.length === 0
}

function checkChoice(choice: unknown, all: Map<number, ChoiceSeen>, completions: boolean, say: Say): void {
  if (!isObject(choice) || typeof choice.index !== 'number') {
    say('has a choice without an index')
    return
  }
  const known = all.get(choice.index)
  const seen = known ?? { finishes: 0, tools: new Map() }
  all.set(choice.index, seen)
  if (completions) {
    if (typeof choice.text !== 'string') say('has a choice without text')
    else if (seen.finishes > 0 && choice.text !== '') say('has text after the finish')
  } else checkDelta(choice.delta, known === undefined, seen, say)
  const reason = choice.finish_reason
  if (reason === null || reason === undefined) return
  if (typeof reason !== 'string' || reason === '') say('has a finish_reason that is none')
  seen.finishes++
}

function checkDelta(delta: unknown, first: boolean, seen: ChoiceSeen, say: Say): void {
  if (!isObject(delta)) {
    say('has a choice without a delta')
    return
  }
  if (first && delta.role !== 'assistant') say('is the first of its choice and has no role')
  if (delta.role && delta.role !== 'assistant') say(`has the role ${delta.role}`)
  if (seen.finishes > 0 && delta.content) say('has content after the finish')
  for (const call of Array.isArray(delta.tool_calls) ? delta.tool_calls : []) checkToolCall(call, seen, say)
}

function checkToolCall(call: unknown, seen: ChoiceSeen, say: Say): void {
  if (!isObject(call) || typeof call.index !== 'number') {
    say('has a tool call without an index')
    return
  }
  const part = isObject(call.function) ? call.function : {}
  const known = seen.tools.get(call.index)
  if (known !== undefined) {
    // A client that accumulates strings would write the id and the name twice.
    if (call.id || part.name) say(`repeats the head of tool call ${call.index}`)
    known.arguments += String(part.arguments ?? '')
    return
  }
  if (call.index !== seen.tools.size) say(`opens tool call ${call.index} instead of ${seen.tools.size}`)
  if (typeof call.id !== 'string' || call.id === '') say(`opens tool call ${call.index} without an id`)
  if (call.type !== 'function') say(`opens tool call ${call.index} without a type`)
  if (typeof part.name !== 'string' || part.name === '') say(`opens tool call ${call.index} without a name`)
  if (typeof part.arguments !== 'string') say(`opens tool call ${call.index} without arguments`)
  if ([...seen.tools.values()].some(other => other.id === call.id)) say(`gives the id ${call.id} twice`)
  seen.tools.set(call.index, { id: String(call.id), arguments: String(part.arguments ?? '') })
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function isObject(value: unknown): value is Value {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
