import type { Clock } from '#core/clock.ts'
import type { ListedModel, Server } from '#core/servers.ts'

export interface ListingOptions {
  readonly clock: Clock
  /** Asks a server what it offers; bounded in time by itself.
   *
   * @throws when it does not say. */
  readonly list: (server: Server) => Promise<readonly ListedModel[]>
  /** The longest time after which a server is asked again, in milliseconds. */
  readonly longestMs: () => number
  /** Called when what is known has changed. */
  readonly onChange: (server: Server) => void
}

/** Keeps asking servers what they offer. */
export interface Listing {
  /** Sets which servers are asked. What a server said is forgotten when it is no longer among them.
   *
   * @param patient Those that work without their list: they are asked when the start is over, and never eagerly.
   * @returns Resolves when each of the other new ones has answered, or failed to, once. */
  watch(servers: readonly Server[], patient?: readonly Server[]): Promise<void>
  /** Asks a server at once that has never answered, because it is well now. */
  again(id: string): void
  /** What each server said last. One that fails to answer keeps its models: it may be back in a moment. */
  current(): ReadonlyMap<string, readonly ListedModel[]>
  stop(): void
}

/** How soon a server is asked again that never answered, and one that changed or failed. */
const EAGER_MS = 5000
const USUAL_MS = 30_000
/** A name that is longer, or has control characters or halves of characters, is no model's. */
const NAME = /^[^\p{Cc}\p{Cs}]{1,256}$/u

/** Creates the listing. A list that stays the same is asked for less and less often, from 30 seconds on. */
export function createListing(options: ListingOptions): Listing {
  const { clock } = options
  const known = new Map<string, readonly ListedModel[]>()
  const asked = new Map<string, { readonly server: Server; stop: () => void }>()

  function ask(server: Server, patient: boolean): Promise<void> {
    const entry = { server, stop: () => {} }
    asked.set(server.id, entry)
    let quietMs = USUAL_MS

    async function turn(): Promise<void> {
      const before = known.get(server.id)
      const models = await listed(server)
      if (asked.get(server.id) !== entry) return
      if (models !== null && !isSame(before, models)) {
        known.set(server.id, models)
        quietMs = USUAL_MS
        options.onChange(server)
      } else if (models !== null) quietMs = Math.min(quietMs * 2, options.longestMs())
      const retryMs = before === undefined && !patient ? EAGER_MS : USUAL_MS
      entry.stop = clock.after(models === null ? retryMs : Math.min(quietMs, options.longestMs()), () => void turn())
    }

    if (!patient) return turn()
    entry.stop = clock.after(EAGER_MS, () => void turn())
    return Promise.resolve()
  }

  async function listed(server: Server): Promise<readonly ListedModel[] | null> {
    try {
      return tidied(await options.list(server))
    } catch {
      return null
    }
  }

  function forget(id: string): void {
    asked.get(id)?.stop()
    asked.delete(id)
  }

  return {
    current: () => known,
    async watch(servers, patient = []) {
      const wanted = new Map([...servers, ...patient].map(server => [server.id, server]))
      for (const [id, { server }] of asked) {
        const now = wanted.get(id)
        if (now === undefined || now.baseUrl !== server.baseUrl) known.delete(id)
        if (now !== server) forget(id)
      }
      for (const server of patient) if (!asked.has(server.id)) void ask(server, true)
      await Promise.all(servers.filter(server => !asked.has(server.id)).map(server => ask(server, false)))
    },
    again(id) {
      const entry = asked.get(id)
      if (entry === undefined || known.has(id)) return
      forget(id)
      void ask(entry.server, false)
    },
    stop() {
      for (const id of [...asked.keys()]) forget(id)
    },
  }
}

/** A list without repetitions and impossible names. */
function tidied(models: readonly ListedModel[]): readonly ListedModel[] {
  const byId = new Map<string, ListedModel>()
  for (const model of models) if (NAME.test(model.id) && !byId.has(model.id)) byId.set(model.id, model)
  return [...byId.values()]
}

/** When a model was made does not count: vLLM, and others, say the time at which they are asked. */
function isSame(before: readonly ListedModel[] | undefined, now: readonly ListedModel[]): boolean {
  return before !== undefined && JSON.stringify(before, timeless) === JSON.stringify(now, timeless)
}

function timeless(key: string, value: unknown): unknown {
  return key === 'created' ? undefined : value
}
