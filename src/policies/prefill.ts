import type { Attempt, Delivered, Live } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { toGatewayError } from '#core/errors.ts'
import type { DataFrame, Frame } from '#core/frame.ts'
import type { Server } from '#core/servers.ts'
import { estimateTokens, type Usage } from '#core/usage.ts'
import { isObject } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import { textsOf } from './pieces.ts'
import type { Transcript } from './transcript.ts'

/** How much of a continuation is held back, in characters. If it begins as the whole answer began, the server has
 * started over. */
const HELD_CHARACTERS = 64

/** What the next attempt may continue, and whether it did. */
export interface PrefillOffer {
  delivered: Delivered | null
  /** The model that wrote the text; other models are not asked to continue it. */
  upstreamModel: string
  taken: boolean
}

/** Makes attempts continue the delivered text where the model is known to support this. If the server refuses, it is
 * asked to start over.
 *
 * @param canContinue Whether the dialect of a server can say what was delivered. The answer of one that was never told
 * would be taken for a continuation, and the caller given both. */
export function withPrefill(attempt: Attempt, offer: PrefillOffer, canContinue: (server: Server) => boolean): Attempt {
  const goOn = async (given: Parameters<Attempt>[0], delivered: Delivered): Promise<Live> => {
    try {
      const live = await attempt({ ...given, delivered })
      offer.taken = true
      return live
    } catch (thrown) {
      const error = toGatewayError(thrown)
      const isRefusal = error.status < 500 && !error.retryable && given.scope.ended === null
      if (!isRefusal || given.again?.takeOne(error) === false) throw thrown
      return attempt(given)
    }
  }
  return given => {
    const { target, model } = given.slot.candidate
    const isSame = target.upstreamModel === offer.upstreamModel
    const fits = model.capabilities.prefill && isSame && canContinue(target.server)
    return offer.delivered !== null && fits ? goOn(given, offer.delivered) : attempt(given)
  }
}

/** The part of an answer that can be continued: plain content of the only choice, long enough that a server which
 * starts over instead is noticed. */
export function toPrefill(call: Call, { choices }: Transcript): Delivered | null {
  const { body } = call
  const messages = Array.isArray(body.messages) ? body.messages : []
  const last = messages.at(-1)
  const isPlain = (body.n ?? 1) === 1 && (body.response_format ?? null) === null && body.logprobs !== true
  if (call.endpoint !== 'chat' || !isPlain || !isObject(last) || last.role === 'assistant') return null
  const passage = choices.get(0)
  if (passage === undefined || choices.size > 1 || passage.finished || passage.texts.size > 1) return null
  const text = passage.texts.get('content') ?? ''
  const beginning = text.slice(0, HELD_CHARACTERS)
  // A text that repeats its own beginning could not be told from an answer that starts over.
  return beginning.length < HELD_CHARACTERS || text.includes(beginning, 1) ? null : { text }
}

/** Holds a continuation back until it is clear that the server has not started over. */
export async function holdContinuation(
  live: Live,
  { text }: Delivered,
): Promise<{ readonly live: Live; readonly continues: boolean }> {
  const held: (readonly Frame[])[] = []
  let content = ''
  while (true) {
    let frames: readonly Frame[]
    try {
      frames = await live.next()
    } catch (thrown) {
      return { live: replay(live, held, thrown), continues: false }
    }
    held.push(frames)
    for (const frame of frames) {
      if (frame.kind === 'error') return { live: replay(live, held), continues: false }
      const said = (frame.chunk.choices ?? []).flatMap(textsOf)
      if (said.some(([channel]) => channel !== 'content')) return { live: replay(live, held), continues: false }
      content += said.map(([, piece]) => piece).join('')
      const starts = text.startsWith(content.slice(0, HELD_CHARACTERS))
      if (!starts) return { live: replay(live, held), continues: true }
      const isOver = frame.kind === 'finish' || content.length >= HELD_CHARACTERS
      if (isOver) return { live: replay(live, held), continues: content === '' }
    }
    if (frames.length === 0) return { live: replay(live, held), continues: false }
  }
}

function replay(live: Live, held: (readonly Frame[])[], broken?: unknown): Live {
  return {
    target: live.target,
    model: live.model,
    next() {
      const frames = held.shift()
      if (frames !== undefined) return Promise.resolve(frames)
      return broken === undefined ? live.next() : Promise.reject(broken)
    },
    close: () => live.close(),
  }
}

/** Adds the delivered text to the output count of a server that continued, because it counted that text as part of its
 * prompt. Its counts before the end are left out for the same reason: the estimate that replaces them covers the whole
 * answer. */
export function withDelivered(given: DataFrame, characters: number): DataFrame {
  const frame = given.soFar === undefined ? given : { ...given, soFar: undefined }
  if (frame.usage === null) return frame
  const tokens = Math.min(estimateTokens(characters), frame.usage.input)
  const { input, output } = frame.usage
  const usage: Usage = { ...frame.usage, input: input - tokens, output: output + tokens, estimated: true }
  const raw = frame.chunk.usage
  if (!isObject(raw)) return { ...frame, usage }
  const { prompt_tokens, completion_tokens } = raw
  const moved = { prompt_tokens: Number(prompt_tokens) - tokens, completion_tokens: Number(completion_tokens) + tokens }
  const chunk = { ...frame.chunk, usage: { ...raw, ...moved } }
  return { ...frame, usage, chunk, text: writeSse(JSON.stringify(chunk)) }
}
