import type { Choice, Chunk, DataFrame, Delta, ToolCallPart } from '#core/frame.ts'
import { writeSse } from '#lib/sse.ts'
import {
  type ChunkHead,
  isEmpty,
  isOpaque,
  logprobEntries,
  type Passage,
  TEXT_CHANNELS,
  type Transcript,
  textsOf,
  tokensOf,
  toolChannel,
} from './transcript.ts'

/** What the restarted stream still has to repeat before it may go on. */
interface Owed extends Passage {
  /** How many of the tokens have been repeated. */
  readonly repeated: number
  /** Whether nothing is owed any more. */
  readonly caughtUp: boolean
  /** Whether the restarted stream has finished this choice. */
  readonly ended: boolean
}

/** Where a restarted stream stands beside what the caller has been given. */
export interface Splice {
  readonly head: ChunkHead | null
  readonly owed: ReadonlyMap<number, Owed>
}

/** Begins to compare a restarted stream with what was delivered. */
export function createSplice({ head, choices }: Pick<Transcript, 'head' | 'choices'>): Splice {
  const owed = new Map<number, Owed>()
  for (const [index, { texts, tokens, finished }] of choices) {
    owed.set(index, toOwed({ texts: new Map(texts), tokens: [...tokens], finished, repeated: 0, ended: false }))
  }
  return { head, owed }
}

/** Begins to pass on a stream that continues what was delivered instead of repeating it. */
export function createContinuation({ head, choices }: Pick<Transcript, 'head' | 'choices'>): Splice {
  const repeated = new Map<number, Passage>()
  for (const [index, { finished }] of choices) repeated.set(index, { texts: new Map(), tokens: [], finished })
  return createSplice({ head, choices: repeated })
}

/** Takes one frame of the restarted stream: what was delivered is dropped, what is new goes on under the first
 * stream's id.
 *
 * @returns `differs` as soon as the frame is not what the caller has been given. */
export function stepSplice(splice: Splice, frame: DataFrame): readonly [Splice, readonly DataFrame[]] | 'differs' {
  const list = frame.chunk.choices ?? []
  if (frame.kind === 'usage') return [splice, [rewrite(splice, frame, list)]]
  const choices: Choice[] = []
  let owed = splice.owed
  for (const choice of list) {
    const index = choice.index ?? 0
    const before = owed.get(index)
    // A choice that had not begun is new from its first chunk.
    const cut = before === undefined ? { choice } : cutChoice(choice, before)
    if (cut === null) return 'differs'
    if (cut.choice !== null) choices.push(cut.choice)
    if (cut.owed !== undefined && cut.owed !== before) owed = new Map(owed).set(index, cut.owed)
  }
  const next = owed === splice.owed ? splice : { ...splice, owed }
  return [next, choices.length === 0 ? [] : [rewrite(splice, frame, choices)]]
}

/** Whether all that was delivered has been repeated. */
export function isCaughtUp({ owed }: Splice): boolean {
  for (const each of owed.values()) if (!each.caughtUp) return false
  return true
}

/** Whether the restarted stream may end here: everything repeated, every choice finished. */
export function isWhole({ owed }: Splice): boolean {
  for (const each of owed.values()) if (!each.caughtUp || !each.ended) return false
  return true
}

interface Cut {
  /** What of the choice goes on; `null` when nothing does. */
  readonly choice: Choice | null
  readonly owed?: Owed
}

/** Takes what was delivered out of one choice of a chunk; `null` when it differs. */
function cutChoice(choice: Choice, owed: Owed): Cut | null {
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
  for (const channel of TEXT_CHANNELS) delta[channel] = rests.get(channel)
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

function toOwed(owed: Omit<Owed, 'caughtUp'>): Owed {
  let caughtUp = owed.repeated === owed.tokens.length
  for (const text of owed.texts.values()) caughtUp &&= text === ''
  return { ...owed, caughtUp }
}

function rewrite({ head }: Splice, frame: DataFrame, choices: readonly Choice[]): DataFrame {
  const chunk: Chunk = { ...frame.chunk, ...head, choices }
  const isFinish = choices.some(choice => choice.finish_reason)
  const hasText = choices.some(choice => textsOf(choice).some(([, text]) => text !== ''))
  const kind = frame.kind === 'usage' ? 'usage' : isFinish ? 'finish' : hasText ? 'delta' : 'start'
  return { ...frame, kind, chunk, text: writeSse(JSON.stringify(chunk)) }
}
