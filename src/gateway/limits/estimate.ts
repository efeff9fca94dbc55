import { LRUCache } from 'lru-cache'
import type { Call } from '#core/call.ts'
import type { Bucket } from '#core/limiter.ts'
import type { Model } from '#core/servers.ts'
import { estimateUsage } from '../settle.ts'

/** How many tokens an answer is assumed to need before any was seen. */
const FIRST_GUESS = 512
const MODELS_MAX = 1000
/** The weight of the newest answer in the moving average. */
const WEIGHT = 0.05

/** Learns how long the answers of each model usually are. */
export interface Lengths {
  /** A number of tokens that few answers exceed. */
  usual(model: string): number
  note(model: string, tokens: number): void
}

/** Creates the estimate: for each model the moving average of the length of its answers, and of their deviation from
 * it. */
export function createLengths(): Lengths {
  const known = new LRUCache<string, { mean: number; deviation: number }>({ max: MODELS_MAX })
  return {
    usual(model) {
      const length = known.get(model)
      return length === undefined ? FIRST_GUESS : Math.ceil(length.mean + 2 * length.deviation)
    },
    note(model, tokens) {
      const length = known.get(model)
      if (length === undefined) {
        known.set(model, { mean: tokens, deviation: tokens / 2 })
        return
      }
      const error = tokens - length.mean
      length.mean += WEIGHT * error
      length.deviation += WEIGHT * (Math.abs(error) - length.deviation)
    },
  }
}

/** How many tokens a call may need: its prompt, and as many as it allows its answers to have. If it names no number, as
 * many as the answers of the model usually have, but never so many that no bucket could hold them. */
export function estimateNeed(call: Call, model: Model, lengths: Lengths, buckets: readonly Bucket[]): number {
  const { input } = estimateUsage(call, 0)
  if (call.endpoint === 'embeddings') return input
  const answers = answersTo(call)
  const allowed = allowedBy(call)
  if (allowed !== null) return input + answers * allowed
  let most = Infinity
  for (const { unit, burst } of buckets) if (unit === 'tokens') most = Math.min(most, burst)
  return Math.max(input, Math.min(most, input + answers * lengths.usual(model.name)))
}

/** How many tokens a call allows each of its answers to have; `null` if it does not say. There are two fields for it,
 * of which servers may know only one, so the larger counts. */
export function allowedBy({ body }: Pick<Call, 'body'>): number | null {
  const [newer, older] = [positive(body.max_completion_tokens), positive(body.max_tokens)]
  return newer === null || older === null ? (newer ?? older) : Math.max(newer, older)
}

/** How many answers are generated for a call: `n` for each of its prompts, or the `best_of` from which the best are
 * chosen. */
export function answersTo({ endpoint, body }: Pick<Call, 'endpoint' | 'body'>): number {
  const shown = positive(body.n) ?? 1
  if (endpoint !== 'completions') return shown
  const { prompt, best_of } = body
  // A list of numbers is one prompt, in tokens.
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt.length : 1
  return prompts * Math.max(shown, positive(best_of) ?? 1)
}

function positive(value: unknown): number | null {
  return typeof value === 'number' && value > 0 ? value : null
}
