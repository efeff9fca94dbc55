import type { Candidate } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import type { Model, States } from '#core/servers.ts'
import { byLoad } from './strategies/strategy.ts'

/** The fewest candidates at which the probes may be doubted. */
const PANIC_CANDIDATES_MIN = 4
/** How soon a server that is out is probed again, in milliseconds. */
const PROBE_MS = 5000

/** What to do when no candidate is available.
 *
 * When under half of four or more are healthy, the probes are less likely right than wrong (or all is lost anyway):
 * the others are tried all the same.
 *
 * @returns Candidates to try in spite of their health.
 * @throws GatewayError `provider_rate_limited` or `no_healthy_upstream` with the soonest time. */
export function noneAvailable(
  candidates: readonly Candidate[],
  models: readonly Model[],
  { states, now }: { readonly states: States; readonly now: number },
): readonly Candidate[] {
  if (candidates.length === 0 && models.some(model => model.targets.length > 0)) {
    throw new GatewayError('unsupported_parameter', 'The servers of this model do not offer this endpoint.', {
      param: 'model',
    })
  }
  let healthy = 0
  let soonest = Infinity
  const doubted: Candidate[] = []
  for (const candidate of candidates) {
    const state = states.target(candidate.target)
    const cooling = state.coolUntil > now
    if (state.server.health !== 'unhealthy') {
      healthy++
      if (!state.server.draining) soonest = Math.min(soonest, state.coolUntil - now)
    } else if (!state.server.draining && !cooling) {
      doubted.push({ ...candidate, reason: `${candidate.reason}, although it seems to be down` })
    }
  }
  const panics = candidates.length >= PANIC_CANDIDATES_MIN && healthy * 2 < candidates.length
  if (panics && doubted.length > 0) return byLoad(doubted, states)
  if (soonest < Infinity) {
    throw new GatewayError('provider_rate_limited', 'Every model server limits its requests; try again later.', {
      retryAfterMs: Math.ceil(soonest),
    })
  }
  throw new GatewayError('no_healthy_upstream', 'No server of this model is up; try again shortly.', {
    retryAfterMs: PROBE_MS,
  })
}
