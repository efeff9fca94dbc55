import type { Candidate, Plan } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { mayUse } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import type { TargetId } from '#core/servers.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { breakerAdmits, type States, type TargetState } from '#core/states.ts'
import { lackFor } from './abilities.ts'
import { mayCall, resolveModels } from './candidates.ts'
import { type Lineup, rehearse, turnsOf } from './lineup.ts'
import { fallbacksFor, type PlanDeps, type PlanWishes, plan } from './plan.ts'
import { configuredStrategy } from './strategies/index.ts'
import type { StrategyContext } from './strategies/strategy.ts'

/** A candidate of a plan, and its score. */
export interface Judged {
  readonly candidate: Candidate
  /** What the strategy ranks by, lowest first; `null` where it takes turns, or the score is not known. */
  readonly score: number | null
}

/** What would happen to a call. */
export interface Explanation {
  /** `null` when no server would answer. */
  readonly plan: Plan | null
  /** What the scores measure. */
  readonly measure: string | null
  readonly candidates: readonly Judged[]
  /** The candidates that would not be asked, with the reason. */
  readonly excluded: readonly Candidate[]
  readonly refusal: GatewayError | null
}

/** Plans a call without side effects: no server is called, and the turns of the strategies do not advance.
 *
 * @throws every error that is not a refusal of the call. */
export function explainPlan(
  call: Call,
  snapshot: Snapshot,
  states: States,
  deps: PlanDeps,
  wishes: PlanWishes,
): Explanation {
  const outcome = attemptPlan(call, snapshot, states, { ...deps, lineups: rehearse(deps.lineups) }, wishes)
  const { planned, refusal } = outcome
  const { lineup, all } = reachOf(call, snapshot, deps)
  const chosen = planned === null ? [] : planned.candidates
  const taken = new Set(chosen.map(({ target }) => target.id))
  const unable = new Map(planned?.excluded?.map(candidate => [candidate.target.id, candidate]))
  const now = deps.clock.now()
  const strategy = planned === null ? null : configuredStrategy(planned.strategy)
  const context: StrategyContext | null =
    lineup === null || strategy === null
      ? null
      : {
          call,
          states,
          now,
          random: deps.random,
          turns: turnsOf(lineup, strategy.name),
          homes: lineup.homes,
          prices: null,
          sparesLoad: false,
        }
  return {
    plan: planned,
    measure: strategy?.measure ?? null,
    candidates: chosen.map(candidate => {
      const score = context === null ? undefined : strategy?.score?.(candidate, context)
      return { candidate, score: score === undefined || score === Number.MAX_VALUE ? null : score }
    }),
    excluded: all
      .filter(({ target }) => !taken.has(target.id))
      .map(
        candidate => unable.get(candidate.target.id) ?? whyNot(candidate, call, states.target(candidate.target), now),
      ),
    refusal,
  }
}

function attemptPlan(...args: Parameters<typeof plan>) {
  try {
    return { planned: plan(...args), refusal: null }
  } catch (thrown) {
    if (thrown instanceof GatewayError) return { planned: null, refusal: thrown }
    throw thrown
  }
}

/** The lineup of a call, and all targets that it could come to, each once: also those of fallbacks that it names itself,
 * or that its key may not use. */
function reachOf(call: Call, snapshot: Snapshot, { lineups }: PlanDeps) {
  try {
    const { models } = resolveModels(call, snapshot)
    const lineup: Lineup | null = lineups.of(models, call.endpoint, snapshot)
    const named = fallbacksFor(call, snapshot, { lineup, lineups, models, follow: false })
    const all = new Map<TargetId, Candidate>()
    for (const candidate of [...lineup.tiers, ...named, ...lineup.fallbacks].flat())
      if (!all.has(candidate.target.id)) all.set(candidate.target.id, candidate)
    return { lineup, all: [...all.values()] }
  } catch (thrown) {
    if (thrown instanceof GatewayError) return { lineup: null, all: [] }
    throw thrown
  }
}

/** A candidate that is left out, with the reason in public words. */
function whyNot(candidate: Candidate, call: Call, state: TargetState, now: number): Candidate {
  const { model, target } = candidate
  // A key may be allowed one target of a model, by its name.
  const may = mayCall(call.caller, model) || mayUse(call.caller, target.id)
  const forbidden = may ? null : 'the key may not use its model'
  const reason = forbidden ?? lackFor(candidate, call) ?? obstacle(state, now) ?? 'the call does not ask for it'
  return { ...candidate, reason }
}

function obstacle(state: TargetState, now: number): string | null {
  const { server } = state
  if (server.draining) return 'its server is drained'
  if (server.health === 'unhealthy') return `its server is down: ${server.reason ?? 'its probes fail'}`
  if (state.refusedUntil > now) return 'it refuses the credentials of the gateway'
  if (state.coolUntil > now) return `it limits its callers for another ${seconds(state.coolUntil - now)}`
  return breakerAdmits(state, now) ? null : `its circuit breaker is open for ${seconds(state.breaker.openUntil - now)}`
}

function seconds(ms: number): string {
  return `${Math.max(1, Math.ceil(ms / 1000))} s`
}
