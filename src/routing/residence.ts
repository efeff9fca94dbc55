import type { Candidate } from '#core/attempt.ts'
import type { States } from '#core/states.ts'

/** How many calls a server is assumed to process at once when neither it nor its target has a limit. */
const PLACES = 4

/** Whether the server has the model in memory, or is loading it for a call of this gateway. Also true when the server
 * does not report what it has loaded.
 *
 * While a server loads a model, its other models may have to be unloaded, so they do not count until the load is done.
 */
export function isResident({ target }: Candidate, states: States): boolean {
  const { loaded, loading, inFlight } = states.target(target).server
  if (loaded === null) return true
  return loading !== null && inFlight > 0 ? loading === target.upstreamModel : loaded.has(target.upstreamModel)
}

/** Whether the server would start one more call at once. */
export function hasRoom({ target }: Candidate, states: States): boolean {
  const { server, inFlight } = states.target(target)
  const bound = target.maxConcurrent || target.server.maxConcurrent || PLACES
  const taken = target.maxConcurrent > 0 ? inFlight : server.inFlight
  return taken + server.others < bound && (target.server.maxConcurrent || Infinity) > server.inFlight
}

/** The cost of loading a model at a server, from 0 to 3: lowest where nothing is loaded or the loaded model is not
 * used, highest where calls are being answered. */
export function loadingCost({ target }: Candidate, states: States, now: number): number {
  const { server } = states.target(target)
  if (server.loaded !== null && server.loaded.size === 0) return 0
  if (server.inFlight + server.others > 0) return 3 - 1 / (1 + server.inFlight + server.others)
  return 1 + 1 / (1 + Math.max(0, now - server.usedAt))
}
