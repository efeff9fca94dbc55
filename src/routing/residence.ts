import type { Candidate } from '#core/attempt.ts'
import type { States } from '#core/states.ts'

/** The calls that a server is believed to work on at once where neither it nor its target is bounded. */
const PLACES = 4

/** Whether the server has the model in memory, or is loading it for a call of ours; also where it does not say.
 *
 * What else is in memory may have to make room for what is being loaded, so that it does not count until then. */
export function isResident({ target }: Candidate, states: States): boolean {
  const { loaded, loading, inFlight } = states.target(target).server
  if (loaded === null) return true
  return loading !== null && inFlight > 0 ? loading === target.upstreamModel : loaded.has(target.upstreamModel)
}

/** Whether the server would begin with one more call at once. */
export function hasRoom({ target }: Candidate, states: States): boolean {
  const { server, inFlight } = states.target(target)
  const bound = target.maxConcurrent || target.server.maxConcurrent || PLACES
  const taken = target.maxConcurrent > 0 ? inFlight : server.inFlight
  return taken + server.others < bound && (target.server.maxConcurrent || Infinity) > server.inFlight
}

/** How unwelcome it is to load a model at a server, from 0 to 3: least where nothing is in memory or nobody asks for
 * what is, most where calls are being answered. */
export function loadingCost({ target }: Candidate, states: States, now: number): number {
  const { server } = states.target(target)
  if (server.loaded !== null && server.loaded.size === 0) return 0
  if (server.inFlight + server.others > 0) return 3 - 1 / (1 + server.inFlight + server.others)
  return 1 + 1 / (1 + Math.max(0, now - server.usedAt))
}
