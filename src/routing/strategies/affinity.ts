import type { Candidate } from '#core/attempt.ts'
import type { Target } from '#core/servers.ts'
import { drawFor, hashText, prefixKey } from '../prefix.ts'
import { hasRoom, isResident, loadingCost } from '../residence.ts'
import { loadOf, type Memory, ranked, rankedInTurn, type Strategy, type StrategyContext, weightOf } from './strategy.ts'

/** How far a server may be above its share of the calls in flight: for a new prompt (`LOAD_MAX`), and for a prompt that
 * it has answered before (`HOME_LOAD_MAX`). With up to `HOME_CALLS` calls the second bound does not apply: loads vary
 * by chance, and a filled prompt cache is worth a wait. */
const LOAD_MAX = 1.25
const HOME_LOAD_MAX = 2
const HOME_CALLS = 8
/** How far a server may be above its share of the last calls. It is lower than the other bound, because it counts from
 * the first few calls on. */
const SHARE_MAX = 1.2
const CALLS_MIN = 4
/** The number of recent calls, for each candidate, over which the shares are counted. */
const WINDOW = 256
/** For how many beginnings of prompts the server is remembered, for each model. */
const HOMES_MAX = 10_000
/** The ranks: the server that the prompt went to last (its home), then servers that have the model, those of them with
 * more than their share, those that would have to load it, those without room. */
const HOME = -1
const CROWDED = 1
const LOADING = 2
const OVER = 8

const names = new WeakMap<Target, number>()

/** Sends prompts that begin alike to one server, whose prompt cache has them: to the server where they went last, and
 * for a new prompt to the less used of the first two by consistent hashing. A server with more than 1.25 times its
 * share of the load is passed over, and so is one that would have to load the model while another has it. */
export const affinity: Strategy = {
  name: 'affinity',
  reads: true,
  observes: true,
  measure: 'below 0 the home of the prompt, then by hash; from 1 on crowded, from 2 on to be loaded, from 8 on full',
  order(candidates, context) {
    if (candidates.length < 2) return candidates
    const { call, homes, states, turns } = context
    const key = prefixKey(call)
    const ranks: number[] = []
    if (key === null) {
      for (const candidate of candidates) ranks.push(loadOf(candidate, states))
      return rankedInTurn(candidates, ranks, context)
    }
    const id = homes.get(key)
    const home = id === undefined ? undefined : candidates.find(({ target }) => target.id === id)
    const totals = totalsOf(candidates, context)
    for (const candidate of candidates) ranks.push(rankOf(candidate, candidate === home, key, totals, context))
    const ordered = ranked(candidates, ranks)
    preferLessUsed(ordered, ranks, turns)
    const stays =
      home !== undefined && isResident(home, states) && !isOverused(home, weightOf(home) / totals.weight, totals, turns)
    settle(ordered, key, stays ? home : null, context)
    return ordered
  },
  score(candidate, context) {
    const key = prefixKey(context.call)
    if (key === null) return loadOf(candidate, context.states)
    return rankOf(candidate, candidate.target.id === context.homes.get(key), key, null, context)
  },
}

/** The sums over all candidates. */
interface Totals {
  readonly weight: number
  readonly inFlight: number
  readonly calls: number
}

function totalsOf(candidates: readonly Candidate[], { states, turns }: StrategyContext): Totals {
  let weight = 0
  let inFlight = 0
  let calls = 0
  for (const candidate of candidates) {
    weight += weightOf(candidate)
    inFlight += callsAt(candidate, states)
    calls += turns.get(candidate) ?? 0
  }
  return { weight, inFlight, calls }
}

function callsAt({ target }: Candidate, states: StrategyContext['states']): number {
  const { inFlight, server } = states.target(target)
  return inFlight + server.others
}

function rankOf(
  candidate: Candidate,
  isHome: boolean,
  key: number,
  totals: Totals | null,
  context: StrategyContext,
): number {
  const { states, now } = context
  const weight = weightOf(candidate)
  const loading = isResident(candidate, states) ? 0 : LOADING + loadingCost(candidate, states, now)
  const over = totals === null ? 0 : excess(candidate, isHome, totals, context)
  if (isHome && over === 0 && loading === 0) return HOME
  // An exponentially distributed draw with the weight as its rate gives each candidate the first place in proportion to
  // its weight.
  const draw = -Math.log(1 - drawFor(key, nameOf(candidate.target))) / weight
  return over + loading + (isHome ? 0 : draw / (1 + draw))
}

/** How much the load of a candidate counts against it: nothing within the bounds, little while it has room. */
function excess(candidate: Candidate, isHome: boolean, totals: Totals, { states, turns }: StrategyContext): number {
  const share = weightOf(candidate) / totals.weight
  const fair = (totals.inFlight + 1) * share
  const inFlightMax = isHome ? Math.max(HOME_CALLS, HOME_LOAD_MAX * fair) : Math.ceil(LOAD_MAX * fair)
  if (callsAt(candidate, states) + 1 <= inFlightMax && !isOverused(candidate, share, totals, turns)) return 0
  return hasRoom(candidate, states) ? CROWDED : OVER
}

/** Whether a candidate had more than its share of the last calls. */
function isOverused(candidate: Candidate, share: number, { calls }: Totals, turns: Memory['turns']): boolean {
  return (turns.get(candidate) ?? 0) + 1 > SHARE_MAX * (calls + 1) * share + CALLS_MIN
}

/** Puts the less used of the first two candidates of a new prompt first. */
function preferLessUsed(ordered: Candidate[], ranks: readonly number[], turns: Map<Candidate, number>): void {
  const [first, second] = ordered
  const [one = 0, two = 0] = ranks
  if (first === undefined || second === undefined || one < 0 || Math.floor(one) !== Math.floor(two)) return
  const used = (candidate: Candidate) => (turns.get(candidate) ?? 0) / weightOf(candidate)
  if (used(second) >= used(first)) return
  ordered[0] = second
  ordered[1] = first
}

/** Remembers where a prompt went. A prompt that goes elsewhere only once, because its home is busy, keeps its home. */
function settle(ordered: readonly Candidate[], key: number, home: Candidate | null, { homes, turns }: Memory): void {
  const [first] = ordered
  if (first === undefined) return
  homes.delete(key)
  homes.set(key, (home ?? first).target.id)
  if (homes.size > HOMES_MAX) {
    for (const oldest of homes.keys()) {
      homes.delete(oldest)
      break
    }
  }
  turns.set(first, (turns.get(first) ?? 0) + 1)
  let calls = 0
  for (const candidate of ordered) calls += turns.get(candidate) ?? 0
  if (calls <= WINDOW * ordered.length) return
  for (const candidate of ordered) turns.set(candidate, (turns.get(candidate) ?? 0) / 2)
}

function nameOf(target: Target): number {
  let name = names.get(target)
  if (name === undefined) {
    name = hashText(target.id, Infinity, 0x811c9dc5)
    names.set(target, name)
  }
  return name
}
