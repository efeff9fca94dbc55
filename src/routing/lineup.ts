import type { Candidate, Plan } from '#core/attempt.ts'
import type { Endpoint } from '#core/call.ts'
import type { Model, Target } from '#core/servers.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { type Limits, limitsOf } from './abilities.ts'
import { eligibleModels, findModel, type Resolution, suits } from './candidates.ts'
import { configuredStrategy } from './strategies/index.ts'
import type { Memory } from './strategies/strategy.ts'

/** Whether servers of a kind offer an endpoint. */
export type Supports = (kind: string, endpoint: Endpoint) => boolean

/** The candidates for a model (or for all models, when the gateway chooses) as far as they do not depend on the current
 * states. */
export interface Lineup {
  /** Best first; the strategy orders within a tier. */
  readonly tiers: readonly (readonly Candidate[])[]
  /** The candidates of each fallback model, in order, a group for each of its tiers. */
  readonly fallbacks: readonly (readonly Candidate[])[]
  /** The turns of each strategy, by its name. */
  readonly turns: Map<string, Memory['turns']>
  readonly homes: Memory['homes']
  /** What some of the candidates cannot do; `null` when no limit is known. */
  readonly limits: Limits | null
  /** The finished plan when there is only one candidate. */
  readonly only: Plan | null
}

/** Keeps the lineups of each snapshot, so that they are not built again for each call. */
export interface Lineups {
  /** The lineup of one model, or of all eligible ones when there are several. */
  of(models: readonly Model[], endpoint: Endpoint, snapshot: Snapshot): Lineup
  /** The candidates of fallback models, a group for each of their tiers. */
  fallbacks(query: FallbackQuery): readonly (readonly Candidate[])[]
}

/** What decides which fallback models a call has. */
interface FallbackQuery {
  /** The fallbacks that the call itself names and that its caller may use. */
  readonly own: readonly Resolution[]
  readonly models: readonly Model[]
  readonly endpoint: Endpoint
  readonly snapshot: Snapshot
  /** Whether the fallbacks of the models, and `gateway.fallback.order`, are used as well. */
  readonly follow: boolean
}

/** What was built for one snapshot. */
interface Known {
  readonly lineups: Readonly<Record<Endpoint, Map<Model | null, Lineup>>>
  readonly fallbacks: Remembered
}

/** The candidates built for fallbacks, by model, reason and target, so that strategies see the same objects again,
 * whichever fallbacks calls name. */
type Remembered = Map<string, Candidate>

/** The key for the choice among all models; no model has an empty name. */
const EVERY_MODEL = ''

/** Creates the cache of lineups. With a new snapshot, the turns of each model start again.
 *
 * @param supports Targets on servers of kinds that do not offer the endpoint are left out. */
export function createLineups(supports: Supports = () => true): Lineups {
  const bySnapshot = new WeakMap<Snapshot, Known>()

  // Prompts keep their servers when the fleet changes.
  const homes = new Map<string, Map<Endpoint, Memory['homes']>>()

  function homesOf(endpoint: Endpoint, model: Model | null): Memory['homes'] {
    const name = model?.name ?? EVERY_MODEL
    const ofModel = homes.get(name) ?? new Map<Endpoint, Memory['homes']>()
    homes.set(name, ofModel)
    const known = ofModel.get(endpoint) ?? new Map()
    ofModel.set(endpoint, known)
    return known
  }

  /** Forgets models that are gone: the models that servers offer change, and new names would fill the memory. */
  function forgetGone({ models }: Snapshot): void {
    for (const name of homes.keys()) if (name !== EVERY_MODEL && !models.has(name)) homes.delete(name)
  }

  function knownOf(snapshot: Snapshot): Known {
    let known = bySnapshot.get(snapshot)
    if (known === undefined) {
      known = { lineups: { chat: new Map(), completions: new Map(), embeddings: new Map() }, fallbacks: new Map() }
      bySnapshot.set(snapshot, known)
      forgetGone(snapshot)
    }
    return known
  }

  return {
    fallbacks: query => fallbackGroups(query, supports, knownOf(query.snapshot).fallbacks),
    of(models, endpoint, snapshot) {
      const { lineups, fallbacks } = knownOf(snapshot)
      const key = models.length === 1 ? (models[0] ?? null) : null
      let lineup = lineups[endpoint].get(key)
      if (lineup === undefined) {
        const all = key === null ? eligibleModels(snapshot, endpoint) : models
        const query = { own: [], models: all, endpoint, snapshot, follow: true }
        lineup = build(query, fallbackGroups(query, supports, fallbacks), supports, homesOf(endpoint, key))
        lineups[endpoint].set(key, lineup)
      }
      return lineup
    },
  }
}

/** Makes copies of lineups for plans without side effects. The copies start with what the strategies remember now, and
 * consecutive plans advance only the copy. */
export function rehearse(lineups: Lineups): Lineups {
  const copies = new Map<Lineup, Lineup>()
  return {
    fallbacks: lineups.fallbacks,
    of(models, endpoint, snapshot) {
      const lineup = lineups.of(models, endpoint, snapshot)
      const copy = copies.get(lineup) ?? copyOf(lineup)
      copies.set(lineup, copy)
      return copy
    },
  }
}

/** The turns of a strategy for the candidates of a lineup; empty at first. */
export function turnsOf({ turns }: Lineup, strategy: string): Memory['turns'] {
  let own = turns.get(strategy)
  if (own === undefined) {
    own = new Map()
    turns.set(strategy, own)
  }
  return own
}

function copyOf(lineup: Lineup): Lineup {
  const turns = new Map([...lineup.turns].map(([name, own]) => [name, new Map(own)]))
  return { ...lineup, turns, homes: new Map(lineup.homes) }
}

function build(
  { models, endpoint, snapshot }: FallbackQuery,
  fallbacks: Lineup['fallbacks'],
  supports: Supports,
  homes: Memory['homes'],
): Lineup {
  const tiers: Candidate[][] = []
  const standby: Candidate[] = []
  const chosen = models.length > 1
  for (const model of models) {
    const reason = chosen ? `${model.name}, chosen by the gateway` : `target of ${model.name}`
    for (const [rank, targets] of preferenceTiers(model, snapshot).entries()) {
      const tier = tiers[rank] ?? []
      tiers[rank] = tier
      for (const target of targets) {
        if (!supports(target.server.kind, endpoint)) continue
        const spare = target.weight === 0 || (chosen && model.weight === 0)
        if (spare) standby.push({ target, model, reason: `standby of ${model.name}` })
        else tier.push({ target, model, reason })
      }
    }
  }
  const filled = [...tiers, standby].filter(tier => tier.length > 0)
  return {
    tiers: filled,
    fallbacks,
    turns: new Map(),
    homes,
    limits: limitsOf([...filled, ...fallbacks]),
    only: readyPlan(filled, fallbacks, snapshot),
  }
}

function readyPlan(
  tiers: readonly (readonly Candidate[])[],
  fallbacks: readonly (readonly Candidate[])[],
  snapshot: Snapshot,
): Plan | null {
  const [tier] = tiers
  const [candidate] = tier ?? []
  if (tiers.length !== 1 || tier?.length !== 1 || candidate === undefined || fallbacks.length > 0) return null
  const strategy = configuredStrategy(snapshot.settings.algorithm)
  return { model: candidate.model, strategy: strategy.name, candidates: [candidate] }
}

/** The targets of a model in tiers, by the servers that its class prefers, best first; targets on other servers come
 * last. */
function preferenceTiers(model: Model, snapshot: Snapshot): readonly (readonly Target[])[] {
  const preferred = model.class === null ? undefined : snapshot.settings.preferredServers[model.class]
  if (preferred === undefined || preferred.length === 0) return [model.targets]
  const tiers = preferred.map(id => model.targets.filter(target => target.server.id === id))
  const others = model.targets.filter(target => !preferred.includes(target.server.id))
  return [...tiers, others].filter(tier => tier.length > 0)
}

/** The same tiers, followed by the targets that are standbys (weight 0). */
function fallbackTiers(model: Model, snapshot: Snapshot): readonly (readonly Target[])[] {
  const tiers = preferenceTiers(model, snapshot).map(tier => tier.filter(({ weight }) => weight > 0))
  return [...tiers, model.targets.filter(({ weight }) => weight === 0)]
}

/** The fallback models of a call, as one group of candidates for each of their tiers: those that the call names, those
 * of its models, their fallbacks in turn, and the general order. Each model and each target occurs once, even if the
 * configuration has cycles. */
function fallbackGroups(
  { own, models, endpoint, snapshot, follow }: FallbackQuery,
  supports: Supports,
  remembered: Remembered,
): (readonly Candidate[])[] {
  const seen = new Set(models)
  const targets = new Set(models.flatMap(model => model.targets.map(target => target.id)))
  const groups: Candidate[][] = []

  function candidateOf(target: Target, model: Model, reason: string): Candidate {
    const key = JSON.stringify([model.name, reason, target.id])
    const candidate = remembered.get(key) ?? { target, model, reason, fallback: true }
    remembered.set(key, candidate)
    return candidate
  }

  function add(found: Resolution | null, reason: string, certain: boolean): Model | null {
    const model = found?.models[0]
    if (found === null || model === undefined || seen.has(model) || !suits(model, endpoint, certain)) return null
    seen.add(model)
    for (const tier of found.target === null ? fallbackTiers(model, snapshot) : [[found.target]]) {
      const group: Candidate[] = []
      for (const target of tier) {
        if (targets.has(target.id) || !supports(target.server.kind, endpoint)) continue
        targets.add(target.id)
        group.push(candidateOf(target, model, reason))
      }
      if (group.length > 0) groups.push(group)
    }
    return model
  }

  const { fallbackEnabled, fallbackOrder } = snapshot.settings
  for (const found of own) add(found, 'fallback named by the call', false)
  if (follow && fallbackEnabled) {
    const queue = [...models]
    for (const from of queue) {
      for (const name of from.fallbacks) {
        const model = add(findModel(name, snapshot), `fallback of ${from.name}`, false)
        if (model !== null) queue.push(model)
      }
    }
    for (const name of fallbackOrder) add(findModel(name, snapshot), 'in gateway.fallback.order', true)
  }
  return groups
}
