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

/** The parts from which the handling of model calls is built. */
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
  /** The places at servers that several processes share; `null` where this process is alone. */
  readonly places: Places | null
  /** The name of this gateway in requests to another gateway. */
  readonly hop: string
}

/** What handles model calls, explains where they would go, and is told of changes. */
export interface Calls {
  readonly run: ReturnType<typeof createPipeline>
  readonly rehearsal: ReturnType<typeof createRehearsal>
  readonly queueDepth: () => number
  /** To be called when this process has got shared places at servers. */
  granted(count: number): void
  readonly retriesLeft: () => number
  subscriber(fact: Fact): void
  /** To be called after a reload. Refused credentials are tried again, and so is a target that limited its callers if
   * its credentials have changed; a breaker that is switched off no longer blocks its target.
   *
   * @param before The snapshot before the reload. */
  reload(before: Snapshot): void
}

/** Builds the handling of model calls. */
export function composeCalls(parts: CallParts): Calls {
  const { clock, random, journal, states, snapshot, transportFor, ledger, answers } = parts
  const settings = () => snapshot().settings
  const available: Parameters<typeof createQueue>[0]['available'] = target =>
    isAvailable(states.target(target), clock.now())
  const newest = ({ id }: Target) => snapshot().targets.get(id)
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
    canContinue: ({ kind }) => PROVIDERS.get(kind)?.capabilities.prefill ?? false,
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
    queueDepth: () => queue.depth(),
    granted: count => queue.granted(count),
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

/** What identifies the caller to a server. */
function signOf(target: Target | undefined): string {
  return JSON.stringify([target?.server.secrets, target?.server.headers])
}
