import type { Candidate } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import type { Model } from '#core/servers.ts'
import { breakerAdmits, type States, type TargetState } from '#core/states.ts'
import { byLoad } from './strategies/strategy.ts'

/** The fewest candidates at which the gateway may doubt its probes and breakers. */
const PANIC_CANDIDATES_MIN = 4
/** The share of a target's places that calls may use while its health is doubted. */
const DOUBTED_SHARE = 1 / 4
/** How soon an unavailable server is probed again, in milliseconds. */
const PROBE_MS = 5000
/** After what time the trial of a half-open breaker has probably ended, in milliseconds. */
const TRIAL_MS = 1000

interface Moment {
  readonly states: States
  readonly now: number
}

/** Decides what to do when no candidate is available.
 *
 * When there are four candidates or more, and fewer than half of them are healthy, the probes and breakers are probably
 * wrong (and if not, nothing is lost): the others are tried all the same, each with a few calls at a time.
 *
 * @returns Candidates to try although they seem unhealthy.
 * @throws GatewayError `provider_rate_limited`, `upstream_auth_failed` or `no_healthy_upstream` with the soonest time
 * at which this can change. */
export function noneAvailable(
  candidates: readonly Candidate[],
  models: readonly Model[],
  moment: Moment,
): readonly Candidate[] {
  if (candidates.length === 0 && models.some(model => model.targets.length > 0)) {
    throw new GatewayError('unsupported_parameter', 'The servers of this model do not offer this endpoint.', {
      param: 'model',
    })
  }
  const doubted = panic(candidates, moment)
  if (doubted.length > 0) return byLoad(doubted, moment.states)
  throw refusal(candidates, models[0]?.name ?? null, moment)
}

/** The candidates to try although they seem unhealthy; none while enough are healthy. */
function panic(candidates: readonly Candidate[], { states, now }: Moment): readonly Candidate[] {
  const stateOf = ({ target }: Candidate) => states.target(target)
  const healthy = candidates.filter(candidate => isHealthy(stateOf(candidate), now)).length
  if (candidates.length < PANIC_CANDIDATES_MIN || healthy * 2 >= candidates.length) return []
  const allOpen = candidates.every(candidate => !breakerAdmits(stateOf(candidate), now))
  return candidates
    .filter(candidate => {
      const state = stateOf(candidate)
      const { maxConcurrent, server } = candidate.target
      const most = allOpen ? 1 : Math.max(1, Math.floor((maxConcurrent || server.maxConcurrent) * DOUBTED_SHARE))
      return !isHealthy(state, now) && isOpen(state, now) && state.inFlight < most
    })
    .map(candidate => ({
      ...candidate,
      doubted: true,
      reason: `${candidate.reason}, although it seems to be down`,
    }))
}

function isHealthy(state: TargetState, now: number): boolean {
  return state.server.health !== 'unhealthy' && breakerAdmits(state, now)
}

/** Whether only its health keeps a target from getting calls. */
function isOpen(state: TargetState, now: number): boolean {
  return !state.server.draining && state.coolUntil <= now && state.refusedUntil <= now
}

/** Why no candidate answers, with the soonest time at which that can change. */
function refusal(candidates: readonly Candidate[], model: string | null, { states, now }: Moment): GatewayError {
  let limited = Infinity
  let down = Infinity
  let refused = 0
  for (const { target } of candidates) {
    const state = states.target(target)
    if (state.server.draining) continue
    if (state.refusedUntil > now) refused++
    else if (!isHealthy(state, now)) down = Math.min(down, untilHealthy(state, now))
    else limited = Math.min(limited, state.coolUntil - now)
  }
  if (limited < Infinity) {
    return new GatewayError('provider_rate_limited', 'Every model server limits its requests; try again later.', {
      model,
      retryAfterMs: Math.ceil(limited),
    })
  }
  if (refused > 0 && down === Infinity) {
    return new GatewayError('upstream_auth_failed', 'The model servers refused the credentials of the gateway.', {
      model,
      shouldRetry: false,
    })
  }
  return new GatewayError('no_healthy_upstream', 'No server of this model is up; try again shortly.', {
    model,
    retryAfterMs: Math.ceil(Math.min(down, PROBE_MS)),
  })
}

/** How long until a good probe may bring a server back, or until an open breaker admits its trial. */
function untilHealthy(state: TargetState, now: number): number {
  const { openUntil, trial } = state.breaker
  const breaker = trial ? TRIAL_MS : openUntil - now
  return state.server.health === 'unhealthy' ? PROBE_MS : Math.max(1, breaker, state.coolUntil - now)
}
