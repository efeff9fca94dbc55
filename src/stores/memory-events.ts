import type { EventStore, FleetEvent } from '#core/events.ts'
import { createSeen } from '#lib/seen.ts'

const CLAIMS_MAX = 100_000

/** Creates a store in the memory of this process, which forgets the oldest events.
 *
 * @param options.entriesMax How many are kept.
 * @param options.newId Makes a UUIDv7 of epoch milliseconds. */
export function createMemoryEvents(options: {
  readonly entriesMax: number
  readonly newId: (time: number) => string
}): EventStore {
  const states = new Map<string, string>()
  const begun = new Map<string, FleetEvent>()
  const isNew = createSeen(CLAIMS_MAX)
  let events: readonly FleetEvent[] = []
  let lastTime = 0

  return {
    async add(observations) {
      const kept: FleetEvent[] = []
      for (const [index, { event, series, state, initially }] of observations.entries()) {
        if ((states.get(series) ?? initially) !== state) {
          states.set(series, state)
          lastTime = Math.max(lastTime + 1, Math.floor(event.at))
          const whole = { ...event, id: options.newId(lastTime) }
          if (event.type === 'failover_initiated') begun.set(series, whole)
          else if (event.type === 'failover_completed') begun.delete(series)
          kept.push(whole)
        } else if (index === 0) return []
      }
      events = [...events, ...kept].slice(-options.entriesMax)
      return kept
    },
    claim: async (source, id) => isNew(`${source}:${id}`),
    list: async ({ after, limit }) => events.filter(({ id }) => id > after).slice(0, limit),
    open: async () => [...begun.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
  }
}
