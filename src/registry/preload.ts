import type { Journal } from '#core/journal.ts'
import type { Model, Snapshot, Target } from '#core/servers.ts'

export interface PreloadOptions {
  readonly journal: Journal
  /** Asks a server to load a model; `null` for servers that do not load on demand. Bounded in time by itself.
   *
   * @throws when it could not. */
  readonly load: (target: Target, model: Model) => Promise<void> | null
}

/** Lets servers load these models before the first call comes, each on one server: the one of its servers that was
 * given the fewest so far. Never throws.
 *
 * @param names Public names or aliases. */
export async function preload(names: readonly string[], snapshot: Snapshot, options: PreloadOptions): Promise<void> {
  const given = new Map<string, number>()
  await Promise.all(
    names.map(name => {
      const model = snapshot.models.get(name) ?? snapshot.models.get(snapshot.names.get(name) ?? '')
      return model === undefined ? told(options, `${name} was not loaded: no model has this name`) : loadOne(model)
    }),
  )

  async function loadOne(model: Model): Promise<void> {
    const count = ({ server }: Target) => given.get(server.id) ?? 0
    for (const target of model.targets.toSorted((a, b) => count(a) - count(b))) {
      const loading = options.load(target, model)
      if (loading === null) continue
      given.set(target.server.id, count(target) + 1)
      const done = await loading.then(
        () => true,
        () => false,
      )
      const { id } = target.server
      return told(options, done ? `${model.name} was loaded on ${id}` : `${model.name} could not be loaded on ${id}`)
    }
    told(options, `${model.name} was not loaded: none of its servers loads models on demand`)
  }
}

function told({ journal }: PreloadOptions, message: string): void {
  journal.note({ type: 'fleet-changed', message })
}
