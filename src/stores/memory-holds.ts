import type { HoldStore } from '#core/events.ts'

/** Creates a store in the memory of this process. */
export function createMemoryHolds(): HoldStore {
  const holds = new Map<string, Map<string, number>>()
  return {
    async hold(server, owner, until) {
      const owners = holds.get(server) ?? new Map<string, number>()
      if (until === 0) owners.delete(owner)
      else owners.set(owner, until)
      if (owners.size === 0) holds.delete(server)
      else holds.set(server, owners)
    },
    held: async (server, now) => [...(holds.get(server)?.values() ?? [])].some(until => until > now),
  }
}
