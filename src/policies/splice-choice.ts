import type { Choice, Delta, ToolCallPart } from '#core/frame.ts'
import { channelOf, isEmpty, isOpaque, logprobEntries, TEXT_FIELDS, textsOf, tokensOf, toolChannel } from './pieces.ts'
import type { Passage } from './transcript.ts'

/** What the restarted stream still has to repeat before it may go on. */
export interface Owed extends Passage {
  /** How many of the tokens have been repeated. */
  readonly repeated: number
  /** Whether nothing is owed any more. */
  readonly caughtUp: boolean
  /** Whether the restarted stream has finished this choice. */
  readonly ended: boolean
}

/** One choice of a chunk, cut where the new begins. */
interface Cut {
  /** What of the choice goes on; `null` when nothing does. */
  readonly choice: Choice | null
  readonly owed?: Owed
}

/** Takes what was delivered out of one choice of a chunk; `null` when it differs. */
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
  // Log probabilities that only the second stream gives would begin in the middle of the text.
  if (tokens.length > 0 && owed.tokens.length === 0 && owed.texts.has('content')) return null
  const same = Math.min(tokens.length, owed.tokens.length - owed.repeated)
  for (let at = 0; at < same; at++) if (tokens[at] !== owed.tokens[owed.repeated + at]) return null
  const left = toOwed({ ...owed, texts, repeated: owed.repeated + same })
  // All that a model says is said in order: nothing new comes before the last of the old.
  const isNew = tokens.length > same || [...rests.values()].some(rest => rest !== '') || hasNewTool(choice, owed)
  if (!left.caughtUp && (isNew || choice.finish_reason)) return null
  if (isNew && owed.finished) return null
  const finish = choice.finish_reason && !owed.finished
  const kept = isNew || finish ? rebuild(choice, owed, rests, same) : null
  return { choice: kept, owed: withEnd(choice, left) }
}

/** What of a text is new behind what was delivered of its channel; `null` when they differ. A tool's name comes whole:
 * clients do not put names together. */
function restOf(channel: string, text: string, delivered: string): string | null {
  if (channel.endsWith(' name') && text !== delivered) return null
  if (text.length <= delivered.length) return delivered.startsWith(text) ? '' : null
  return text.startsWith(delivered) ? text.slice(delivered.length) : null
}

function hasNewTool(choice: Choice, owed: Owed): boolean {
  return choice.delta?.tool_calls?.some((tool, at) => !owed.texts.has(toolChannel(tool, at, 'name'))) === true
}

/** The choice with only what is new. */
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
  // The caller knows the call by the id that the first stream gave it.
  return rest === undefined ? [] : [{ index: tool.index ?? at, function: { arguments: rest } }]
}

/** A choice that has caught up goes on as it comes, but for the role and what the first stream had finished. */
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

/** Notes whether anything is owed still. */
export function toOwed(owed: Omit<Owed, 'caughtUp'>): Owed {
  let caughtUp = owed.repeated === owed.tokens.length
  for (const text of owed.texts.values()) caughtUp &&= text === ''
  return { ...owed, caughtUp }
}
