import type { EventStore, FleetEvent } from '#core/events.ts'
import { createSeen } from '#lib/seen.ts'

const CLAIMS_MAX = 100_000

/** Creates a store in the memory of this process, which forgets the oldest events.
 *
 * @param entriesMax How many are kept. */
export function createMemoryEvents({ entriesMax }: { readonly entriesMax: number }): EventStore {
  const states = new Map<string, string>()
  const isNew = createSeen(CLAIMS_MAX)
  let events: readonly FleetEvent[] = []
  return {
    async add({ event, series, state, initially }) {
      if ((states.get(series) ?? initially) === state) return false
      states.set(series, state)
      events = [...events, event].sort((a, b) => (a.id < b.id ? -1 : 1)).slice(-entriesMax)
      return true
    },
    claim: async (source, id) => isNew(`${source}:${id}`),
    list: async ({ after, limit }) =>
      after === null ? events.slice(-limit) : events.filter(({ id }) => id > after).slice(0, limit),
  }
}
