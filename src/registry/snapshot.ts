import type { DeclaredModel } from '#core/declared.ts'
import type { Capabilities, Knowledge, ListedModel, Model, Price, Server, Target, TargetId } from '#core/servers.ts'
import type { Settings, Snapshot } from '#core/snapshot.ts'
import { classOf, describeTarget, withAbilities } from './abilities.ts'

/** What a snapshot is made of. */
export interface SnapshotSource {
  readonly version: number
  readonly settings: Settings
  readonly servers: readonly Server[]
  readonly declaredModels: readonly DeclaredModel[]
  /** By server id what each server said it offers. */
  readonly listed: ReadonlyMap<string, readonly ListedModel[]>
  /** Kinds of servers whose models are only used when they are named. */
  readonly namedOnly?: ReadonlySet<string>
  /** What is known of models that neither the configuration nor their server describes. */
  readonly knowledge?: Knowledge
}

/** The same with what a server takes for any of its models: as a target has it, else as it is known. */
interface Source extends SnapshotSource {
  readonly priceAt: (server: Server, upstreamModel: string) => Price | null
}

/** The name with which a call leaves the choice to the gateway; no listed model may take it. */
const RESERVED = 'auto'
const NO_CAPABILITIES: Capabilities = { context_length: null, tools: null, vision: null, prefill: false }

/** Builds the immutable picture of the fleet that requests work with.
 *
 * Declared models come first, in their order, and keep their names. A server on which nothing is declared offers what
 * it lists: several servers that list the same name become the targets of one model, and what cannot have its own name
 * because that is taken is called `server/model`; but a server that registered itself joins the declared model. Targets on unknown servers are left out. */
export function buildSnapshot(given: SnapshotSource): Snapshot {
  const targets = new Map<TargetId, Target>()
  const priceAt: Source['priceAt'] = (server, model) =>
    targets.get(targetId(server.id, model))?.price ?? given.knowledge?.(server, model).price ?? null
  const source = { ...given, priceAt }
  const servers = new Map(source.servers.map(server => [server.id, server]))
  const models = new Map<string, Model>()
  const registered = source.servers.filter(server => server.origin === 'registration')
  for (const declared of source.declaredModels)
    models.set(declared.name, declaredModel(declared, { servers, registered }, source))
  const aliases = new Set(source.declaredModels.flatMap(declared => declared.aliases))
  const taken = new Set([RESERVED, ...models.keys(), ...aliases])
  for (const [name, entries] of offered(source, servers, taken)) models.set(name, listedModel(name, entries, source))
  for (const model of models.values()) {
    for (const target of model.targets) if (!targets.has(target.id)) targets.set(target.id, target)
  }
  return { version: source.version, models, names: namesOf(models), targets, servers, settings: source.settings }
}

/** The servers that offer what they list, because no declared model has a target on them. */
export function undeclaredServers(
  servers: readonly Server[],
  declaredModels: readonly DeclaredModel[],
): readonly Server[] {
  const declared = new Set(declaredModels.flatMap(model => model.targets.map(target => target.server)))
  return servers.filter(server => !declared.has(server.id))
}

interface Offer {
  readonly server: Server
  readonly listed: ListedModel
}

/** Listed models by the public name they get. */
function offered(
  { servers, declaredModels, listed }: SnapshotSource,
  known: ReadonlyMap<string, Server>,
  taken: ReadonlySet<string>,
): ReadonlyMap<string, readonly Offer[]> {
  const declared = new Set(declaredModels.map(model => model.name))
  const offers = new Map<string, Offer[]>()
  for (const server of undeclaredServers(servers, declaredModels)) {
    for (const entry of listed.get(server.id) ?? []) {
      const qualified = `${server.id}/${entry.id}`
      if (server.origin === 'registration' && declared.has(entry.id)) continue
      const name = taken.has(entry.id) ? qualified : entry.id
      const others = offers.get(name)
      if (others === undefined) offers.set(name, [{ server: known.get(server.id) ?? server, listed: entry }])
      else if (!others.some(other => other.server.id === server.id)) others.push({ server, listed: entry })
    }
  }
  return offers
}

function declaredModel(
  declared: DeclaredModel,
  { servers, registered }: { readonly servers: ReadonlyMap<string, Server>; readonly registered: readonly Server[] },
  source: Source,
): Model {
  const { listed, namedOnly, knowledge, priceAt } = source
  const targets = new Map<TargetId, Target>()
  const entries: (ListedModel | undefined)[] = []
  for (const { server: id, model, ...own } of declared.targets) {
    const server = servers.get(id)
    if (server === undefined || targets.has(targetId(id, model))) continue
    const entry = listed.get(id)?.find(each => each.id === model)
    const known = knowledge?.(server, model)
    entries.push(entry)
    targets.set(targetId(id, model), {
      id: targetId(id, model),
      server,
      upstreamModel: model,
      weight: own.weight * (server.weight ?? 1),
      maxConcurrent: own.maxConcurrent,
      price: own.price === null ? (known?.price ?? null) : completed(own.price, known?.price),
      priceBeside: name => priceAt(server, name),
      timeouts: { ...server.timeouts, ...own.timeouts },
      ...describeTarget(declared.capabilities, entry, known),
    })
  }
  for (const server of registered) {
    const entry = listed.get(server.id)?.find(each => each.id === declared.name)
    if (entry === undefined) continue
    entries.push(entry)
    targets.set(targetId(server.id, entry.id), listedTarget(server, entry, source, declared.capabilities))
  }
  const all = [...targets.values()]
  return {
    name: declared.name,
    displayName: declared.displayName,
    aliases: declared.aliases,
    targets: all,
    fallbacks: declared.fallbacks,
    class: declared.class ?? classOf(entries),
    capabilities: withAbilities(declared.capabilities, all),
    weight: declared.weight,
    ownedBy: declared.ownedBy ?? all[0]?.server.id ?? 'citadel',
    created: 0,
    eligible: isEligible(all, namedOnly),
    hedging: declared.hedging,
    cache: declared.cache,
  }
}

function listedModel(name: string, offers: readonly Offer[], source: Source): Model {
  const { namedOnly, settings } = source
  const entries = offers.map(offer => offer.listed)
  const targets = offers.map(({ server, listed }) => listedTarget(server, listed, source))
  const [first] = offers
  return {
    name,
    // Where a tag is left out, this one is meant.
    aliases: name.endsWith(':latest') ? [name.slice(0, -':latest'.length)] : [],
    targets,
    fallbacks: [],
    class: classOf(entries),
    capabilities: withAbilities(NO_CAPABILITIES, targets),
    weight: 1,
    ownedBy: first?.listed.ownedBy ?? first?.server.id ?? 'citadel',
    created: first?.listed.created ?? 0,
    eligible: isEligible(targets, namedOnly),
    hedging: settings.hedging,
  }
}

/** Adds to a price that does not say it what a search costs, which depends on the provider alone, and how many times the
 * price holds at other tiers. */
function completed(price: Price, known: Price | null | undefined): Price {
  if (known == null) return price
  const { search, factors } = known
  return {
    ...price,
    ...(price.search == null && search != null && { search }),
    ...(factors !== undefined && { factors: { ...factors, ...price.factors } }),
  }
}

function listedTarget(
  server: Server,
  listed: ListedModel,
  { knowledge, priceAt }: Source,
  declared: Capabilities = NO_CAPABILITIES,
): Target {
  const known = knowledge?.(server, listed.id)
  return {
    id: targetId(server.id, listed.id),
    server,
    upstreamModel: listed.id,
    weight: server.weight ?? 1,
    maxConcurrent: 0,
    price: known?.price ?? null,
    priceBeside: name => priceAt(server, name),
    timeouts: server.timeouts,
    ...describeTarget(declared, listed, known),
  }
}

function isEligible(targets: readonly Target[], namedOnly: ReadonlySet<string> | undefined): boolean {
  return targets.some(({ server }) => server.origin !== 'built-in' && !namedOnly?.has(server.kind))
}

/** Aliases and `server/model`; a public name is never hidden, and of two that want the same alias the first has it. */
function namesOf(models: ReadonlyMap<string, Model>): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  const add = (name: string, model: Model) => {
    if (!models.has(name) && !names.has(name)) names.set(name, model.name)
  }
  for (const model of models.values()) for (const alias of model.aliases) add(alias, model)
  for (const model of models.values()) for (const target of model.targets) add(target.id, model)
  return names
}

function targetId(server: string, model: string): TargetId {
  return `${server}/${model}`
}
