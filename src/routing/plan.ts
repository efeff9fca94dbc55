import type { Candidate, Plan } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Model } from '#core/servers.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { isAvailable, type States } from '#core/states.ts'
import { ANY_LIMITS, needsOf, separate } from './abilities.ts'
import { findAllowed, mayCall, type Resolution, resolveModels } from './candidates.ts'
import { type Lineup, type Lineups, turnsOf } from './lineup.ts'
import { noneAvailable } from './panic.ts'
import { explicit } from './strategies/explicit.ts'
import { configuredStrategy, STRATEGIES } from './strategies/index.ts'
import { byLoad, type Strategy, type StrategyContext } from './strategies/strategy.ts'
import { cheaperFirst, pricesOf } from './thrift.ts'

/** What planning needs besides the call and the fleet. */
export interface PlanDeps {
  readonly clock: Clock
  /** From 0 up to but not including 1. */
  readonly random: () => number
  readonly lineups: Lineups
}

/** What the headers of a request ask of the routing. */
export interface PlanWishes {
  /** The id of the only server that may answer. */
  readonly server: string | null
  /** The strategy to use instead of the configured one. */
  readonly strategy: string | null
}

const NO_WISHES: PlanWishes = { server: null, strategy: null }
type Candidates = readonly Candidate[]

/** Puts the targets that may answer a call into the order in which they are tried: first those of its model, as the
 * strategy orders them and preferred servers first, then those of fallback models.
 *
 * @throws GatewayError what `resolveModels` throws; `no_healthy_upstream` or `provider_rate_limited` when every target
 * is unavailable, with the soonest time at which that can change. */
export function plan(
  call: Call,
  snapshot: Snapshot,
  states: States,
  deps: PlanDeps,
  wishes: PlanWishes = NO_WISHES,
): Plan {
  const resolution = resolveModels(call, snapshot)
  const { models } = resolution
  const now = deps.clock.now()
  const lineup = deps.lineups.of(models, call.endpoint, snapshot)
  const anyServer = resolution.target === null && wishes.server === null
  // The lineup of several models is that of all, of which the caller may use only some.
  const restricted = models.length > 1 && call.caller.models !== null
  const whole = anyServer && !restricted
  const limits = call.fallbacks.length > 0 ? ANY_LIMITS : lineup.limits
  const needs = limits === null ? null : needsOf(call, limits)
  if (lineup.only !== null && whole && wishes.strategy === null && call.fallbacks.length === 0 && needs === null) {
    const [candidate] = lineup.only.candidates
    if (candidate !== undefined && isAvailable(states.target(candidate.target), now)) return lineup.only
  }
  let tiers = whole ? lineup.tiers : narrowTiers(lineup, resolution, call, wishes.server)
  let fallbacks = fallbacksFor(call, snapshot, { lineup, lineups: deps.lineups, models, follow: anyServer })
  let excluded: Candidates = []
  if (needs !== null) {
    const able = separate([...tiers, ...fallbacks], needs, ({ target }) => isAvailable(states.target(target), now))
    tiers = keepIn(tiers, able.keeps)
    fallbacks = keepIn(fallbacks, able.keeps)
    excluded = able.excluded
  }
  const chosen = chosenStrategy(wishes.strategy, snapshot.settings.algorithm)
  const strategy = resolution.target === null ? chosen : explicit
  const moment: Moment = {
    call,
    states,
    random: deps.random,
    turns: turnsOf(lineup, strategy.name),
    homes: lineup.homes,
    now,
    strategy,
    prefersCheaper: snapshot.settings.costOptimization && strategy !== explicit,
    prices: null,
    sparesLoad: false,
  }
  let candidates: Candidates = []
  for (const tier of tiers) candidates = appendAvailable(candidates, tier, moment)
  for (const group of fallbacks) candidates = appendAvailable(candidates, group, moment)
  const later = candidates.length === 0 ? null : unavailableOf(tiers, fallbacks, candidates.length, moment)
  if (candidates.length === 0) {
    candidates = noneAvailable([...tiers, ...fallbacks].flat(), models, { states, now })
  }
  const planned = {
    model: candidates[0]?.model ?? (models[0] as Model),
    strategy: strategy.name,
    candidates,
    observed: strategy.observes === true,
    sparesLoad: moment.sparesLoad,
  }
  return later === null && excluded.length === 0 ? planned : withOthers(planned, later, excluded)
}

/** A plan that also lists which targets are unavailable now, and which cannot do what the call asks. */
function withOthers(planned: Plan, later: Candidates | null, excluded: Candidates): Plan {
  return { ...planned, ...(later !== null && { later }), ...(excluded.length > 0 && { excluded }) }
}

/** The groups with only the candidates that pass a test, and without groups that are then empty. */
function keepIn(groups: readonly Candidates[], keeps: (candidate: Candidate) => boolean): readonly Candidates[] {
  return groups.map(group => group.filter(keeps)).filter(group => group.length > 0)
}

/** The targets that are unavailable now; `null` when all are available. */
function unavailableOf(
  tiers: readonly Candidates[],
  fallbacks: readonly Candidates[],
  available: number,
  { states, now }: Moment,
): Candidates | null {
  let count = 0
  for (const tier of tiers) count += tier.length
  for (const group of fallbacks) count += group.length
  if (available === count) return null
  return [...tiers, ...fallbacks].flat().filter(({ target }) => !isAvailable(states.target(target), now))
}

/** The strategy that a call asks for, or the configured one. */
function chosenStrategy(wished: string | null, configured: string): Strategy {
  const strategy = wished === null ? configuredStrategy(configured) : STRATEGIES.get(wished)
  if (strategy !== undefined) return strategy
  throw new GatewayError(
    'invalid_request',
    `The strategy "${wished?.slice(0, 64)}" is not one of ${[...STRATEGIES.keys()].join(', ')}.`,
    {
      param: 'x-citadel-strategy',
    },
  )
}

/** The context of one planning: what the strategy sees, and which strategy it is. */
interface Moment extends StrategyContext {
  readonly strategy: Strategy
  /** Whether the cheaper of equally suitable candidates comes first. */
  readonly prefersCheaper: boolean
}

/** Appends the available candidates of a tier to those before it. The strategy orders only the first tier that has any:
 * the targets of later tiers are rarely asked, and a rotation would count turns that they never got. */
function appendAvailable(before: Candidates, tier: Candidates, moment: Moment): Candidates {
  const open = available(tier, moment.states, moment.now)
  if (open.length === 0) return before
  if (before.length > 0) return before.concat(byLoad(open, moment.states))
  if (open.length === 1) return open
  if (!moment.prefersCheaper) return moment.strategy.order(open, moment)
  moment.prices = pricesOf(open, moment.call)
  return moment.strategy.order(cheaperFirst(open, moment.prices), moment)
}

/** The available candidates of a tier. Usually all are: then this is the tier itself, and nothing is allocated. */
function available(tier: Candidates, states: States, now: number): Candidates {
  for (const candidate of tier) {
    if (!isAvailable(states.target(candidate.target), now)) return onlyAvailable(tier, states, now)
  }
  return tier
}

/** Separate from `available`, so that the closure is created only when a candidate is left out. */
function onlyAvailable(tier: Candidates, states: States, now: number): Candidates {
  return tier.filter(each => isAvailable(states.target(each.target), now))
}

/** The tiers of a lineup without what the caller may not use or did not ask for.
 *
 * @throws GatewayError `invalid_request` when the server that the caller names offers none of it. */
function narrowTiers(lineup: Lineup, { models, target }: Resolution, call: Call, server: string | null) {
  const restricted = models.length > 1 && call.caller.models !== null
  const keeps = (candidate: Candidate) =>
    (target === null || candidate.target.id === target.id) &&
    (server === null || candidate.target.server.id === server) &&
    (!restricted || models.includes(candidate.model))
  const tiers = keepIn(lineup.tiers, keeps)
  if (tiers.length > 0 || server === null) return tiers
  throw new GatewayError('invalid_request', `The server "${server.slice(0, 64)}" does not offer this model.`)
}

/** The fallback candidates that the caller may use: those that the call names, and, if it may go to any server, also
 * those of its models and of the configuration.
 *
 * @param from.follow Whether the latter are used: a call that names a server wants no other one, unless it names
 * fallbacks itself. */
export function fallbacksFor(
  call: Call,
  snapshot: Snapshot,
  from: {
    readonly lineup: Lineup
    readonly lineups: Lineups
    readonly models: readonly Model[]
    readonly follow: boolean
  },
): readonly Candidates[] {
  const { models, follow } = from
  const own = call.fallbacks.flatMap(name => findAllowed(name, call.caller, snapshot) ?? [])
  let groups = follow ? from.lineup.fallbacks : []
  if (own.length > 0) groups = from.lineups.fallbacks({ own, models, endpoint: call.endpoint, snapshot, follow })
  if (groups.length === 0 || call.caller.models === null) return groups
  // A key may be allowed one target (`server/model`) of a model that it may not use as a whole.
  const named = own.flatMap(found => found.models)
  const mayHave = ({ model }: Candidate) => named.includes(model) || mayCall(call.caller, model)
  return groups.filter(([candidate]) => candidate !== undefined && mayHave(candidate))
}
