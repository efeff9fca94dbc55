import type { Clock } from '#core/clock.ts'
import type { Fact, Journal } from '#core/journal.ts'
import type { Limiter } from '#core/limiter.ts'
import type { Places } from '#core/places.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Server, Target } from '#core/servers.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { isAvailable, type States } from '#core/states.ts'
import { createAnswers } from '#gateway/answers/answers.ts'
import type { Lengths } from '#gateway/limits/estimate.ts'
import { createPipeline, type PipelineDeps } from '#gateway/pipeline.ts'
import { createQueue } from '#gateway/queue/queue.ts'
import { createRehearsal } from '#gateway/rehearsal.ts'
import { createDial } from '#gateway/upstream/dial.ts'
import { createBreakers } from '#policies/breaker.ts'
import { createRetryBudget } from '#policies/budget.ts'
import { commitGate } from '#policies/commit.ts'
import { createCredentials } from '#policies/credentials.ts'
import { failover } from '#policies/failover.ts'
import { createHedges } from '#policies/hedge.ts'
import { PROVIDERS } from '#providers/index.ts'
import type { Transport } from '#providers/transport.ts'
import { explainPlan } from '#routing/explain.ts'
import { createLineups, rehearse } from '#routing/lineup.ts'
import { plan } from '#routing/plan.ts'
import type { Cache } from './cache.ts'
import type { Accounting } from './ledger.ts'

/** What the way of a model call is put together from. */
export interface CallParts {
  readonly clock: Clock
  readonly random: () => number
  readonly journal: Journal
  readonly states: States
  readonly snapshot: () => Snapshot
  readonly transportFor: (server: Server) => Transport
  readonly limiter: Limiter
  readonly lengths: Lengths
  readonly answers: Pick<Cache, 'store' | 'fingerprints' | 'flights'>
  readonly ledger: Pick<Accounting, 'purse' | 'payloads'>
  readonly limitsOf: PipelineDeps['limitsOf']
  /** Where several processes share the places at servers. */
  readonly places: Places | null
  /** The name of this gateway in what it sends to another one. */
  readonly hop: string
}

/** The way of a model call, its rehearsal, and what others want to know of both. */
export interface Calls {
  readonly run: ReturnType<typeof createPipeline>
  readonly rehearsal: ReturnType<typeof createRehearsal>
  readonly queueDepth: () => number
  /** This process has got places at servers. */
  granted(count: number): void
  readonly retriesLeft: () => number
  subscriber(fact: Fact): void
  /** Another configuration holds: credentials that were refused are tried again, targets that limited others too, and
   * breakers that are switched off keep nothing away.
   *
   * @param before What held until now. */
  reload(before: Snapshot): void
}

/** Puts them together. */
export function composeCalls(parts: CallParts): Calls {
  const { clock, random, journal, states, snapshot, transportFor, ledger, answers } = parts
  const settings = () => snapshot().settings
  const available: Parameters<typeof createQueue>[0]['available'] = target =>
    isAvailable(states.target(target), clock.now())
  const newest = (target: Target) => snapshot().targets.get(target.id) ?? target
  const queue = createQueue({ states, clock, available, places: parts.places, newest })
  const budget = createRetryBudget(() => settings().retry)
  const breakers = createBreakers({ states, clock, journal, random, settings: () => settings().breaker })
  const credentials = createCredentials({ states, clock, journal })
  const gate = commitGate(clock)
  const lineups = createLineups((kind, endpoint) => PROVIDERS.get(kind)?.endpoints.has(endpoint) ?? false)
  const planning = { clock, random, lineups }
  const isOffered = ({ id }: Target) => snapshot().targets.has(id)
  const hedges = createHedges(states)
  const policies = { states, isOffered, clock, journal, breakers, budget, credentials, hedges, random }
  const dialling = { providers: PROVIDERS, transportFor, clock, outcomes: breakers, hop: parts.hop }
  const run = createPipeline({
    clock,
    journal,
    snapshot,
    plan: (call, fleet, wishes) => plan(call, fleet, states, planning, wishes),
    answers: createAnswers({ ...answers, clock }),
    attempt: (record: RequestRecord) => gate(createDial(dialling, record)),
    limiter: parts.limiter,
    lengths: parts.lengths,
    limitsOf: parts.limitsOf,
    purse: ledger.purse,
    payloads: ledger.payloads,
    router: (maxAttempts, wait, { permit, purse }) => {
      const places = queue.slotsFor(wait)
      const limited = permit === null ? places : permit.slots(places)
      const slots = purse === null ? limited : purse.slots(limited)
      return failover({ ...policies, slots, retry: settings().retry, maxAttempts })
    },
  })
  const rehearsal = createRehearsal({
    snapshot,
    states,
    explain: (call, fleet, wishes) => explainPlan(call, fleet, states, planning, wishes),
    planner: shadow => {
      const rehearsed = { ...planning, lineups: rehearse(lineups) }
      return (call, fleet, wishes) => plan(call, fleet, shadow, rehearsed, wishes)
    },
  })
  return {
    run,
    rehearsal,
    queueDepth: queue.depth,
    granted: queue.granted,
    retriesLeft: budget.remaining,
    subscriber: budget.subscriber,
    reload(before) {
      credentials.forget()
      const { enabled } = settings().breaker
      for (const target of snapshot().targets.values()) {
        if (signOf(before.targets.get(target.id)) !== signOf(target)) states.target(target).coolUntil = 0
        if (!enabled) breakers.committed(target)
      }
    },
  }
}

/** By what a server knows who calls it. */
function signOf(target: Target | undefined): string {
  return JSON.stringify([target?.server.secrets, target?.server.headers])
}
