import { changeServer, type ServerRecord, type ServerStore } from '#core/registry.ts'

/** Creates a registry in the memory of this process, for a gateway without a place for state: it is lost when the
 * gateway ends. */
export function createMemoryServers(): ServerStore {
  const records = new Map<string, ServerRecord>()
  return {
    list: async () => [...records.values()],
    async change(change) {
      const id = change.kind === 'register' ? change.server.id : change.id
      const changed = changeServer(records.get(id) ?? null, change)
      if (changed === null) return null
      if (changed.after === null) records.delete(id)
      else records.set(id, changed.after)
      return changed
    },
  }
}
