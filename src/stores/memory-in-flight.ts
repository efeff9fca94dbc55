import type { InFlightStore } from '#core/events.ts'

/** Creates the store of requests in flight in the memory of this process. */
export function createMemoryInFlight(): InFlightStore {
  const servers = new Map<string, Map<string, number>>()
  return {
    async mark(server, owner, until) {
      const owners = servers.get(server) ?? new Map<string, number>()
      if (until === 0) owners.delete(owner)
      else owners.set(owner, until)
      if (owners.size === 0) servers.delete(server)
      else servers.set(server, owners)
    },
    hasAny: async (server, now) => [...(servers.get(server)?.values() ?? [])].some(until => until > now),
  }
}
