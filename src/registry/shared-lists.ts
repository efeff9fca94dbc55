import type { Clock } from '#core/clock.ts'
import type { ListStore } from '#core/lists.ts'
import type { ListedModel, Server } from '#core/servers.ts'
import { sha256 } from '#lib/hash.ts'

/** Asks a server what it offers. */
export type List = (server: Server) => Promise<readonly ListedModel[]>

/** A list that another process got so lately is as good as one's own, in milliseconds. */
const YOUNG_MS = 30_000

/** Asks a server what it offers unless another process has just done so. Of a server that does not say, what another
 * process heard from it counts for a while.
 *
 * @param holdMs How long, in milliseconds. */
export function shareLists(
  list: List,
  store: ListStore,
  { clock, holdMs }: { readonly clock: Pick<Clock, 'time'>; readonly holdMs: () => number },
): List {
  return async server => {
    const name = nameOf(server)
    const known = await store.get(name)
    // One of a clock that was far ahead is as good as old.
    const ageMs = known === null ? Infinity : Math.abs(clock.time() - known.at)
    if (known !== null && ageMs < Math.min(YOUNG_MS, holdMs())) return known.models
    try {
      const models = await list(server)
      store.set(name, { at: clock.time(), models })
      return models
    } catch (thrown) {
      if (known === null || ageMs >= holdMs()) throw thrown
      return known.models
    }
  }
}

/** Processes with other credentials for a server may see other models. */
function nameOf({ kind, baseUrl, secrets }: Server): string {
  return sha256(JSON.stringify([kind, baseUrl, secrets]))
}
