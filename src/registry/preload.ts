import type { Journal } from '#core/journal.ts'
import type { Model, Target } from '#core/servers.ts'
import type { Snapshot } from '#core/snapshot.ts'

export interface PreloadOptions {
  readonly journal: Journal
  /** Asks a server to load a model; `null` for servers that do not load on demand. Bounded in time by itself.
   *
   * @throws when it could not. */
  readonly load: (target: Target, model: Model) => Promise<void> | null
}

/** Lets servers load models before the first call comes, each on one server. */
export interface Preload {
  /** Loads what no server was given yet, on the one of its servers that was given the fewest. Never throws.
   *
   * @param names Public names or aliases. */
  begin(names: readonly string[], snapshot: Snapshot): Promise<void>
  /** The same after a change of the fleet; what still has no server is not told of again, and what is no longer to
   * be where it was loaded is loaded where it is.
   *
   * @param lost A server that came back, and with it nothing of what it was given. */
  again(names: readonly string[], snapshot: Snapshot, lost: string | null): Promise<void>
}

/** Creates it; it remembers which model is to be on which server, and as what. */
export function createPreload({ journal, load }: PreloadOptions): Preload {
  const given = new Map<string, Target>()

  function count(server: string): number {
    return [...given.values()].filter(target => target.server.id === server).length
  }

  async function place(model: Model): Promise<string> {
    for (const target of model.targets.toSorted((a, b) => count(a.server.id) - count(b.server.id))) {
      const loading = load(target, model)
      if (loading === null) continue
      const { id } = target.server
      given.set(model.name, target)
      try {
        await loading
        return `${model.name} was loaded on ${id}`
      } catch {
        // It may be on another one by now.
        if (given.get(model.name) === target) given.delete(model.name)
        return `${model.name} could not be loaded on ${id}`
      }
    }
    return `${model.name} was not loaded: none of its servers loads models on demand`
  }

  async function placeAll(names: readonly string[], snapshot: Snapshot, quiet: boolean): Promise<void> {
    const work = names.map(async name => {
      const model = snapshot.models.get(name) ?? snapshot.models.get(snapshot.names.get(name) ?? '')
      if (model !== undefined && given.has(model.name)) return
      const told = model === undefined ? `${name} was not loaded: no model has this name` : await place(model)
      if (!quiet || (model !== undefined && given.has(model.name)))
        journal.note({ type: 'fleet-changed', message: told })
    })
    await Promise.all(work)
  }

  return {
    begin: (names, snapshot) => placeAll(names, snapshot, false),
    again(names, snapshot, lost) {
      for (const [name, { id, server }] of given) {
        const targets = snapshot.models.get(name)?.targets ?? []
        const stays = targets.some(target => target.id === id && target.server.baseUrl === server.baseUrl)
        if (server.id === lost || !stays) given.delete(name)
      }
      return placeAll(names, snapshot, true)
    },
  }
}
