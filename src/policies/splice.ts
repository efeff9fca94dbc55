import type { Choice, Chunk, DataFrame } from '#core/frame.ts'
import { writeSse } from '#lib/sse.ts'
import { textsOf } from './pieces.ts'
import { cutChoice, type Owed, toOwed } from './splice-choice.ts'
import type { ChunkHead, Passage, Transcript } from './transcript.ts'

/** The comparison of a new stream with what the caller has been given. */
export interface Splice {
  readonly head: ChunkHead | null
  readonly owed: ReadonlyMap<number, Owed>
}

/** Begins to compare a stream that starts over with what was delivered. */
export function createSplice({ head, choices }: Pick<Transcript, 'head' | 'choices'>): Splice {
  const owed = new Map<number, Owed>()
  for (const [index, { texts, tokens, finished }] of choices) {
    owed.set(index, toOwed({ texts: new Map(texts), tokens: [...tokens], finished, repeated: 0, ended: false }))
  }
  return { head, owed }
}

/** Begins to pass on a stream that continues the delivered text instead of repeating it. */
export function createContinuation({ head, choices }: Pick<Transcript, 'head' | 'choices'>): Splice {
  const repeated = new Map<number, Passage>()
  for (const [index, { finished }] of choices) repeated.set(index, { texts: new Map(), tokens: [], finished })
  return createSplice({ head, choices: repeated })
}

/** Takes one frame of the new stream: removes what was delivered, and passes on what is new under the id of the first
 * stream.
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
    // The first stream had not begun this choice: all of it is new.
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

/** Whether the new stream may end here: everything is repeated, and every choice finished. */
export function isWhole({ owed }: Splice): boolean {
  for (const each of owed.values()) if (!each.caughtUp || !each.ended) return false
  return true
}

function rewrite({ head }: Splice, frame: DataFrame, choices: readonly Choice[]): DataFrame {
  // A caller who asked for no token count must not get an empty one either; it was removed only from the text.
  const usage = frame.text.includes('"usage"') ? frame.chunk.usage : undefined
  const chunk: Chunk = { ...frame.chunk, ...head, choices, usage }
  const isFinish = choices.some(choice => choice.finish_reason)
  const hasText = choices.some(choice => textsOf(choice).some(([, text]) => text !== ''))
  const kind = frame.kind === 'usage' ? 'usage' : isFinish ? 'finish' : hasText ? 'delta' : 'start'
  return { ...frame, kind, chunk, text: writeSse(JSON.stringify(chunk)) }
}
