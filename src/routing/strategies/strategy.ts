import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { TargetId } from '#core/servers.ts'
import type { States } from '#core/states.ts'
import type { StrategyName } from '#core/strategies.ts'

/** What a strategy remembers of earlier calls for the same model. Only the strategy reads and writes it. */
export interface Memory {
  /** A number for each candidate, with a meaning of the strategy's own. */
  readonly turns: Map<Candidate, number>
  /** Where prompts that begin alike went last, by the hash of their beginning. It is kept when the snapshot changes. */
  readonly homes: Map<number, TargetId>
}

/** What a strategy may look at besides the candidates. */
export interface StrategyContext extends Memory {
  readonly call: Call
  readonly states: States
  /** Monotonic milliseconds. */
  readonly now: number
  /** From 0 up to but not including 1. */
  readonly random: () => number
  /** What the call costs at each candidate, if the cheaper of equally suitable ones is preferred; the candidates are
   * then sorted by it. */
  prices: ReadonlyMap<Candidate, number> | null
  /** Set by a strategy that chose a server with the model in memory although another one would have had to load it. */
  sparesLoad: boolean
}

/** A way to spread load: puts the candidates, all of them available, into the order in which they are tried. */
export interface Strategy {
  readonly name: StrategyName
  /** A permutation of the candidates; the first one counts as chosen. */
  order(candidates: readonly Candidate[], context: StrategyContext): readonly Candidate[]
  /** Whether it learns from the results of attempts. */
  readonly observes?: boolean
  /** Whether it reads what servers report of themselves. */
  readonly reads?: boolean
  /** The number by which it ranks a candidate, lowest first, for people; absent where candidates only take turns. */
  score?(candidate: Candidate, context: StrategyContext): number
  /** What the score measures, or how candidates are ordered without one. */
  readonly measure: string
}

/** Replaces a weight of zero: no share beside other candidates, an equal share among candidates of weight zero. */
const WEIGHT_MIN = 1e-9

/** The share of a candidate: that of its target within the model, times that of the model beside others.
 *
 * A model of weight zero still has targets, which share its calls when it is named. */
export function weightOf({ target, model }: Candidate): number {
  return Math.max(model.weight > 0 ? target.weight * model.weight : target.weight, WEIGHT_MIN)
}

/** The calls in flight at a candidate divided by its weight, including calls of others that its server reports. */
export function loadOf(candidate: Candidate, states: States): number {
  const { inFlight, server } = states.target(candidate.target)
  return (inFlight + server.others) / weightOf(candidate)
}

/** Sorts the candidates by rising rank; equal ranks keep their order.
 *
 * Inserting is faster than `sort` for the few candidates of a model, and needs no comparator.
 *
 * @param ranks One for each candidate, in the same order. They are sorted, too. */
export function ranked(candidates: readonly Candidate[], ranks: number[]): Candidate[] {
  const ordered = candidates.slice()
  for (let next = 1; next < ordered.length; next++) {
    const candidate = ordered[next] as Candidate
    const rank = ranks[next] as number
    let at = next
    for (; at > 0 && (ranks[at - 1] as number) > rank; at--) {
      ordered[at] = ordered[at - 1] as Candidate
      ranks[at] = ranks[at - 1] as number
    }
    ordered[at] = candidate
    ranks[at] = rank
  }
  return ordered
}

/** Sorts the candidates by rising rank; those that share the lowest rank take turns by their weights, or, if prices
 * matter, only the cheapest of them do. */
export function rankedInTurn(
  candidates: readonly Candidate[],
  ranks: number[],
  { turns, prices }: Pick<StrategyContext, 'turns' | 'prices'>,
): Candidate[] {
  const ordered = ranked(candidates, ranks)
  const [first] = ordered
  if (first === undefined) return ordered
  const price = prices?.get(first)
  let best = 0
  let highest = -Infinity
  let total = 0
  for (let at = 0; at < ordered.length && ranks[at] === ranks[0]; at++) {
    const candidate = ordered[at] as Candidate
    if (prices !== null && prices.get(candidate) !== price) break
    const weight = weightOf(candidate)
    const turn = (turns.get(candidate) ?? 0) + weight
    turns.set(candidate, turn)
    total += weight
    if (turn > highest) {
      highest = turn
      best = at
    }
  }
  const chosen = ordered[best] as Candidate
  turns.set(chosen, highest - total)
  ordered.copyWithin(1, 0, best)
  ordered[0] = chosen
  return ordered
}

/** Sorts the candidates from the least to the most loaded; remembers nothing. */
export function byLoad(candidates: readonly Candidate[], states: States): readonly Candidate[] {
  if (candidates.length < 2) return candidates
  const ranks: number[] = []
  for (const candidate of candidates) ranks.push(loadOf(candidate, states))
  return ranked(candidates, ranks)
}
