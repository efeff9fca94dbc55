import type { Choice, Delta, ToolCallPart } from '#core/frame.ts'
import { channelOf, isEmpty, isOpaque, logprobEntries, TEXT_FIELDS, textsOf, tokensOf, toolChannel } from './pieces.ts'
import type { Passage } from './transcript.ts'

/** What the new stream still has to repeat of one choice before its text may go to the caller. */
export interface Owed extends Passage {
  /** How many of the tokens it has repeated. */
  readonly repeated: number
  /** Whether it has repeated everything. */
  readonly caughtUp: boolean
  /** Whether it has finished this choice. */
  readonly ended: boolean
}

/** The part of one choice of a chunk that is new to the caller. */
interface Cut {
  /** The new part; `null` when there is none. */
  readonly choice: Choice | null
  readonly owed?: Owed
}

/** Removes the delivered text from one choice of a chunk; `null` when the two differ. */
export function cutChoice(choice: Choice, owed: Owed): Cut | null {
  if (owed.caughtUp) return goOn(choice, owed)
  if (isOpaque(choice)) return null
  const rests = new Map<string, string>()
  const texts = new Map(owed.texts)
  for (const [channel, text] of textsOf(choice)) {
    const delivered = texts.get(channel)
    const rest = delivered === undefined ? text : restOf(channel, text, delivered)
    if (rest === null) return null
    if (delivered !== undefined) texts.set(channel, delivered.slice(text.length))
    if (rest !== '' || delivered === undefined) rests.set(channel, rest)
  }
  const tokens = tokensOf(choice)
  // If only the second stream gives log probabilities, they would begin in the middle of the text.
  if (tokens.length > 0 && owed.tokens.length === 0 && owed.texts.has('content')) return null
  const same = Math.min(tokens.length, owed.tokens.length - owed.repeated)
  for (let at = 0; at < same; at++) if (tokens[at] !== owed.tokens[owed.repeated + at]) return null
  const left = toOwed({ ...owed, texts, repeated: owed.repeated + same })
  // A model sends its channels in order: nothing new may come before the last of the old text.
  const isNew = tokens.length > same || [...rests.values()].some(rest => rest !== '') || hasNewTool(choice, owed)
  if (!left.caughtUp && (isNew || choice.finish_reason)) return null
  if (isNew && owed.finished) return null
  const finish = choice.finish_reason && !owed.finished
  const kept = isNew || finish ? rebuild(choice, owed, rests, same) : null
  return { choice: kept, owed: withEnd(choice, left) }
}

/** The part of a text that comes after what was delivered of its channel; `null` when they differ. The name of a tool
 * is sent whole, because clients do not join pieces of names. */
function restOf(channel: string, text: string, delivered: string): string | null {
  if (channel.endsWith(' name') && text !== delivered) return null
  if (text.length <= delivered.length) return delivered.startsWith(text) ? '' : null
  return text.startsWith(delivered) ? text.slice(delivered.length) : null
}

function hasNewTool(choice: Choice, owed: Owed): boolean {
  return choice.delta?.tool_calls?.some((tool, at) => !owed.texts.has(toolChannel(tool, at, 'name'))) === true
}

/** Builds the choice with only what is new. */
function rebuild(choice: Choice, owed: Owed, rests: ReadonlyMap<string, string>, tokens: number): Choice {
  const entries = logprobEntries(choice)
  const logprobs = entries === null ? {} : { logprobs: { content: entries.slice(tokens), refusal: null } }
  if (choice.delta === undefined) return { ...choice, ...logprobs, text: rests.get('text') ?? '' }
  const delta: Record<string, unknown> = { ...choice.delta, role: undefined }
  for (const field of TEXT_FIELDS) delta[field] = isEmpty(delta[field]) ? undefined : rests.get(channelOf(field))
  const tools = choice.delta.tool_calls?.flatMap((tool, at) => rebuildTool(tool, at, owed, rests))
  delta.tool_calls = tools === undefined || tools.length === 0 ? undefined : tools
  return { ...choice, ...logprobs, delta: delta as Delta }
}

function rebuildTool(tool: ToolCallPart, at: number, owed: Owed, rests: ReadonlyMap<string, string>): ToolCallPart[] {
  if (!owed.texts.has(toolChannel(tool, at, 'name'))) return [tool]
  const rest = rests.get(toolChannel(tool, at, 'arguments'))
  // The caller knows the tool call by the id that the first stream gave it.
  return rest === undefined ? [] : [{ index: tool.index ?? at, function: { arguments: rest } }]
}

/** Passes on a choice that has repeated everything, without the role and without what the first stream had finished. */
function goOn(choice: Choice, owed: Owed): Cut | null {
  const next = withEnd(choice, owed)
  if (owed.finished && !owed.ended) {
    const says = isOpaque(choice) || textsOf(choice).some(([, text]) => text !== '')
    return says ? null : { choice: null, owed: next }
  }
  if (choice.delta?.role === undefined) return { choice, owed: next }
  const delta = { ...choice.delta, role: undefined }
  const isBare = !choice.finish_reason && Object.values(delta).every(isEmpty)
  return { choice: isBare ? null : { ...choice, delta }, owed: next }
}

function withEnd(choice: Choice, owed: Owed): Owed {
  return choice.finish_reason && !owed.ended ? { ...owed, ended: true } : owed
}

/** Computes whether anything is still to be repeated. */
export function toOwed(owed: Omit<Owed, 'caughtUp'>): Owed {
  let caughtUp = owed.repeated === owed.tokens.length
  for (const text of owed.texts.values()) caughtUp &&= text === ''
  return { ...owed, caughtUp }
}
