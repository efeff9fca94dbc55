import type { Router } from '#core/attempt.ts'
import type { FailoverDeps } from './deps.ts'
import { FailoverRun } from './run.ts'

/** Creates the router that goes from attempt to attempt until one commits, in the order of the itinerary: at most
 * `maxAttempts` in all, within the one deadline of the scope, and no more than the budget of the fleet allows.
 *
 * @throws GatewayError the server's own answer when it is the caller's to mend; else what follows from all failures
 * together, with every attempt in `attempts`. */
export function failover(deps: FailoverDeps): Router {
  return attempt => (call, plan, scope, trail) => new FailoverRun(deps, { attempt, call, plan, scope, trail })
}
