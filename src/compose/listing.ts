import type { ListedModel, Server } from '#core/servers.ts'
import { PROVIDERS } from '#providers/index.ts'
import type { Catalog, ModelDetails, Outgoing } from '#providers/provider.ts'

const LIST_TIMEOUT_MS = 10_000
/** How many pages of a list are read, so that a list without an end is not read for ever. */
const LIST_PAGES_MAX = 20
/** How many models of one server are used: ten times as many as any server lists. Each of them is in the metrics and in
 * the public list, and one answer could hold a quarter of a million. */
const LISTED_MAX = 5000
/** For how many models of one server details are asked, and for how many at once. */
const DETAILED_MAX = 200
const AT_ONCE = 4

/** The answer to a small request. */
interface Reply {
  readonly status: number
  header(name: string): string | null
  readonly body: string
}

/** Sends a small request to a server, bounded in time and size. */
export type Ask = (outgoing: Outgoing, timeoutMs: number, signal?: AbortSignal) => Promise<Reply>

/** Creates the function that lists the models of a server, with details that it publishes at other addresses, which are
 * read once for each model.
 *
 * @throws Error from that function when the server does not answer or its list cannot be read. */
export function createLister(ask: Ask): (server: Server) => Promise<readonly ListedModel[]> {
  const described = new WeakMap<Server, Map<string, Partial<ListedModel>>>()

  async function body(outgoing: Outgoing): Promise<string> {
    const reply = await ask(outgoing, LIST_TIMEOUT_MS)
    if (reply.status < 200 || reply.status > 299) throw new Error(`${outgoing.url} answers HTTP ${reply.status}`)
    return reply.body
  }

  /** Adds details to models. Those read before are kept as long as the server and the model are the same. */
  async function describe(server: Server, details: ModelDetails, models: readonly ListedModel[]) {
    const known = described.get(server) ?? new Map<string, Partial<ListedModel>>()
    described.set(server, known)
    const open = models.filter(model => model.contextLength === null || model.abilities === undefined)
    const asked = open.slice(0, DETAILED_MAX).filter(model => !known.has(keyOf(model)))
    for (let at = 0; at < asked.length; at += AT_ONCE) {
      await Promise.all(
        asked.slice(at, at + AT_ONCE).map(async model => {
          const text = await body(details.model(server, server.secrets[0] ?? null, model.id)).catch(() => null)
          if (text !== null) known.set(keyOf(model), details.decodeModel(text))
        }),
      )
    }
    return known
  }

  /** Reads the whole list, page by page. */
  async function listed(server: Server, catalog: Catalog, secret: string | null): Promise<readonly ListedModel[]> {
    const models: ListedModel[] = []
    let question: Outgoing | null = catalog.list(server, secret)
    for (let page = 0; question !== null && page < LIST_PAGES_MAX && models.length < LISTED_MAX; page++) {
      const text = await body(question)
      models.push(...catalog.decodeList(text).slice(0, LISTED_MAX - models.length))
      question = catalog.next?.(server, secret, text) ?? null
    }
    return models
  }

  return async server => {
    const provider = PROVIDERS.get(server.kind)
    if (provider === undefined) return []
    const secret = server.secrets[0] ?? null
    const { catalog } = provider
    const { details } = catalog
    const models = await listed(server, catalog, secret)
    if (details === undefined) return models
    const known = await describe(server, details, models)
    const loaded = await body(details.loaded(server, secret)).then(details.decodeLoaded, () => null)
    return models.map(model => ({
      ...model,
      ...known.get(keyOf(model)),
      ...(loaded !== null && { loaded: loaded.has(model.id) }),
    }))
  }
}

/** Identifies a model. With its time of creation, so that the details of a model that was pulled again are read
 * again. */
function keyOf({ id, created }: ListedModel): string {
  return `${id} ${created}`
}
