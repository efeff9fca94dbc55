import { comesTooSoon, type EventStore, type EventType, type FleetEvent, type Observation } from '#core/events.ts'
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
  const last = new Map<string, { readonly state: string; readonly event: FleetEvent }>()
  const isNew = createSeen(CLAIMS_MAX)
  let events: readonly FleetEvent[] = []
  let lastTime = 0

  const latest = (type: EventType) =>
    [...last.values()].flatMap(({ event }) => (event.type === type ? [event] : [])).sort(byId)

  function put(observation: Observation): readonly FleetEvent[] {
    const { event, series, state, initially } = observation
    const before = last.get(series)
    if ((before?.state ?? initially) === state) return []
    if (before !== undefined && comesTooSoon(observation, before.event.at)) return []
    lastTime = Math.max(lastTime + 1, Math.floor(event.at))
    const kept = { ...event, id: options.newId(lastTime) }
    last.set(series, { state, event: kept })
    return [kept]
  }

  /** Forgets the states of a server that has left, up to its departure. */
  function forget(departure: FleetEvent): void {
    for (const [series, { event }] of last) {
      if (event.server === departure.server && event.id <= departure.id) last.delete(series)
    }
  }

  return {
    async add([first, ...others], consequence) {
      const kept = first === undefined ? [] : [...put(first)]
      if (first !== undefined && kept.length === 0) return []
      for (const each of others) kept.push(...put(each))
      if (consequence !== undefined) kept.push(...put(consequence.from(latest(consequence.of))))
      const all = [...events, ...kept]
      events = all.slice(-options.entriesMax)
      for (const each of all.slice(0, -options.entriesMax)) if (each.type === 'server_departed') forget(each)
      return kept
    },
    claim: async (source, id) => isNew(`${source}:${id}`),
    list: async ({ after, limit }) => events.filter(({ id }) => id > after).slice(0, limit),
    open: async () => latest('failover_initiated'),
  }
}

function byId(a: FleetEvent, b: FleetEvent): number {
  return a.id < b.id ? -1 : 1
}
