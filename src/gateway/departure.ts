import type { Attempt, AttemptEntry, Candidate, Live, Plan, Router, Trail } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import type { Priority } from '#core/priority.ts'
import { noteSkip, type RequestRecord } from '#core/record.ts'
import { createScope, type Scope } from '#core/scope.ts'
import type { Server } from '#core/servers.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { type PrefillOffer, withPrefill } from '#policies/prefill.ts'
import { recover } from '#policies/recover.ts'
import { findAllowed, findModel } from '#routing/candidates.ts'
import { Alone } from './flights/alone.ts'
import { type Flight, startFlight } from './flights/flight.ts'
import { SharedAnswer } from './flights/shared-answer.ts'
import type { Sharing, Whole } from './flights/shared-log.ts'
import type { Purse } from './ledger/purse.ts'
import type { Permit } from './limits/permit.ts'
import type { Wait } from './queue/waiter.ts'
import { watchRecovery } from './recovery.ts'
import type { Wishes } from './wishes.ts'

export interface DepartureDeps {
  readonly clock: Clock
  readonly journal: Journal
  readonly plan: (call: Call, snapshot: Snapshot, wishes: Wishes) => Plan
  readonly attempt: (record: RequestRecord) => Attempt
  readonly canContinue: (server: Server) => boolean
  readonly router: (maxAttempts: number, wait: Wait, hold: Holds) => Router
  /** The holds of a call on budgets; `null` when neither money is counted nor rows are kept. */
  readonly purse: (call: Call, record: RequestRecord) => Purse | null
}

/** What a call has taken from limits and budgets, and gives back or pays when it ends. */
export interface Holds {
  readonly permit: Permit | null
  readonly purse: Purse | null
}

/** The request that a call is made for. */
interface Origin {
  /** The plan, the attempts and the time in the queue are written into it. */
  readonly record: RequestRecord
  readonly wishes: Wishes
  readonly permit: Permit | null
  readonly snapshot: Snapshot
}

/** Sends one call to its servers: plans it, waits in the queue for it, and writes each attempt into its record. The
 * answer is for one caller (`alone`), or for several (`flight` for a stream, `sharedAnswer` for a plain answer).
 *
 * A class and no closures, because one is made for each call. */
export class Departure implements Wait, Trail {
  readonly call: Call
  waitedMs = 0
  private readonly deps: DepartureDeps
  private readonly origin: Origin
  private readonly plan: Plan

  /** @throws GatewayError when no model may answer, or none can now. */
  constructor(deps: DepartureDeps, origin: Origin, call: Call) {
    const { record, snapshot, wishes } = origin
    this.deps = deps
    this.origin = origin
    this.call = call
    this.plan = deps.plan(call, snapshot, wishes)
    record.plan = this.plan
    if (call.fallbacks.length > 0) noteRefusedFallbacks(record, call, snapshot)
    record.model = this.plan.model.name
  }

  /** Answers one caller whom no other may join. The work ends with the scope of the request, so it needs no flight. */
  alone(scope: Scope): Promise<Live> {
    const own = scope.child(this.deadline)
    const work = this.start(own)
    return this.call.stream ? work.then(live => new Alone(live, own)) : work
  }

  /** Starts a stream that others may join. */
  flight(sharing: Sharing): Flight {
    const scope = createScope(this.deps.clock, this.deadline)
    return startFlight(this.start(scope), scope, sharing)
  }

  /** Starts a plain answer that others may join.
   *
   * @param first The scope of the request that asks first. If its caller allows less time than the servers get, the
   * work has a scope of its own, so that callers who join later are not cut off with it.
   * @param onOver Called once with the whole answer, or with `null` when there is none. */
  sharedAnswer(first: Scope, onOver: (whole: Whole | null) => void): SharedAnswer {
    const scope = first.endsAt === Infinity ? first.child(this.deadline) : createScope(this.deps.clock, this.deadline)
    return new SharedAnswer(this.start(scope), { scope, first, record: this.origin.record, onOver })
  }

  /** Must be called when shared work has ended: gives back what it still holds of the limits of models. */
  finished(): void {
    this.origin.permit?.end()
  }

  private get deadline(): { readonly within: number | undefined; readonly code: 'deadline_exceeded' } {
    return { within: this.plan.candidates[0]?.target.timeouts.total, code: 'deadline_exceeded' }
  }

  private start(scope: Scope): Promise<Live> {
    const { deps, call, plan } = this
    const { record, permit, wishes, snapshot } = this.origin
    const maxAttempts = Math.min(wishes.maxAttempts ?? Infinity, snapshot.settings.maxAttempts)
    const router = deps.router(maxAttempts, this, { permit, purse: deps.purse(call, record) })
    // An answer that the server stores (`store: true`) is not requested again, because it would be stored twice.
    const recovers = call.stream && call.body.store !== true && snapshot.settings.retry.keepOne
    if (!recovers) return router(deps.attempt(record))(call, plan, scope, this).next()
    const offer: PrefillOffer = { delivered: null, upstreamModel: '', taken: false }
    const attempts = router(withPrefill(deps.attempt(record), offer, deps.canContinue))(call, plan, scope, this)
    return recover(attempts, { call, scope, offer }, watchRecovery(deps, record, call))
  }

  /** The name under which the call takes turns in the queue; for callers without a key this is their address. */
  get caller(): string {
    const { caller } = this.call
    return caller.role === 'anonymous' ? this.origin.record.address : caller.id
  }

  get priority(): Priority {
    return this.call.priority
  }

  waited(ms: number): void {
    this.waitedMs += ms
    this.origin.record.queueMs += ms
  }

  begin({ target }: Candidate): AttemptEntry {
    this.waitedMs = 0
    const entry: AttemptEntry = {
      server: target.server.id,
      model: target.upstreamModel,
      startedAt: this.deps.clock.now(),
      ms: 0,
      result: null,
      cause: null,
    }
    this.origin.record.attempts.push(entry)
    return entry
  }
}

/** Records which of the fallbacks that a call names do not exist, or are not allowed to its caller. */
function noteRefusedFallbacks(record: RequestRecord, { caller, fallbacks }: Call, snapshot: Snapshot): void {
  for (const name of fallbacks) {
    if (findAllowed(name, caller, snapshot) !== null) continue
    noteSkip(record, name, findModel(name, snapshot) === null ? 'model_not_found' : 'model_not_allowed')
  }
}
