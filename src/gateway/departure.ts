import type { Attempt, AttemptEntry, Candidate, Live, Plan, Router, Trail } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import type { Priority } from '#core/priority.ts'
import { noteSkip, type RequestRecord } from '#core/record.ts'
import { createScope, type Scope } from '#core/scope.ts'
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
import type { Wait } from './queue/queue.ts'
import { watchRecovery } from './recovery.ts'
import type { Wishes } from './wishes.ts'

export interface DepartureDeps {
  readonly clock: Clock
  readonly journal: Journal
  readonly plan: (call: Call, snapshot: Snapshot, wishes: Wishes) => Plan
  readonly attempt: (record: RequestRecord) => Attempt
  readonly router: (maxAttempts: number, wait: Wait, hold: Holds) => Router
  /** The money of a call; `null` where neither money is counted nor rows are kept. */
  readonly purse: (call: Call, record: RequestRecord) => Purse | null
}

/** What a call holds of the limits and of money while it goes on. */
export interface Holds {
  readonly permit: Permit | null
  readonly purse: Purse | null
}

/** For whom a call departs. */
interface Passenger {
  readonly record: RequestRecord
  readonly wishes: Wishes
  readonly permit: Permit | null
  readonly snapshot: Snapshot
}

/** The way of one call to its servers: its plan, as whom it waits, what it tries. A class, because one is made for
 * each call. */
export class Departure implements Wait, Trail {
  readonly call: Call
  private readonly deps: DepartureDeps
  private readonly passenger: Passenger
  private readonly plan: Plan

  /** @throws GatewayError when no model may answer, or none can now. */
  constructor(deps: DepartureDeps, passenger: Passenger, call: Call) {
    const { record, snapshot, wishes } = passenger
    this.deps = deps
    this.passenger = passenger
    this.call = call
    this.plan = deps.plan(call, snapshot, wishes)
    record.plan = this.plan
    if (call.fallbacks.length > 0) noteRefused(record, call, snapshot)
    record.model = this.plan.model.name
  }

  /** Starts work to which several may subscribe. */
  fly(sharing: Sharing): Flight {
    return startFlight(own => this.start(own), createScope(this.deps.clock, this.deadline), sharing)
  }

  /** Does the work for one alone: it ends with the scope of its request, which is all that a flight would be there for. */
  alone(scope: Scope): Promise<Live> {
    const own = scope.child(this.deadline)
    const work = this.start(own)
    return this.call.stream ? work.then(live => new Alone(live, own)) : work
  }

  /** Does the work for an answer in one piece so that others may wait for it too.
   *
   * @param first The request of whoever asks first. A short time of its own is nobody else's. */
  together(first: Scope, onOver: (whole: Whole | null) => void): SharedAnswer {
    const scope = first.endsAt === Infinity ? first.child(this.deadline) : createScope(this.deps.clock, this.deadline)
    return new SharedAnswer(this.start(scope), { scope, first, record: this.passenger.record, onOver })
  }

  /** Told when work that others might join is over. */
  over(): void {
    this.passenger.permit?.end()
  }

  private get deadline(): { readonly within: number | undefined; readonly code: 'deadline_exceeded' } {
    return { within: this.plan.candidates[0]?.target.timeouts.total, code: 'deadline_exceeded' }
  }

  private start(scope: Scope): Promise<Live> {
    const { deps, call, plan } = this
    const { record, permit, wishes, snapshot } = this.passenger
    const maxAttempts = Math.min(wishes.maxAttempts ?? Infinity, snapshot.settings.maxAttempts)
    const router = deps.router(maxAttempts, this, { permit, purse: deps.purse(call, record) })
    // What a server stores it must not store twice.
    const recovers = call.stream && call.body.store !== true && snapshot.settings.retry.keepOne
    if (!recovers) return router(deps.attempt(record))(call, plan, scope, this).next()
    const offer: PrefillOffer = { delivered: null, upstreamModel: '', taken: false }
    const attempts = router(withPrefill(deps.attempt(record), offer))(call, plan, scope, this)
    return recover(attempts, { call, scope, offer }, watchRecovery(deps, record, call))
  }

  /** Callers without a key take turns by their address. */
  get caller(): string {
    const { caller } = this.call
    return caller.role === 'anonymous' ? this.passenger.record.address : caller.id
  }

  get priority(): Priority {
    return this.call.priority
  }

  waited(ms: number): void {
    this.passenger.record.queueMs += ms
  }

  begin({ target }: Candidate): AttemptEntry {
    const entry: AttemptEntry = {
      server: target.server.id,
      model: target.upstreamModel,
      startedAt: this.deps.clock.now(),
      ms: 0,
      result: null,
      cause: null,
    }
    this.passenger.record.attempts.push(entry)
    return entry
  }
}

/** Writes down which of the fallbacks that a call names are none, or not its caller's. */
function noteRefused(record: RequestRecord, { caller, fallbacks }: Call, snapshot: Snapshot): void {
  for (const name of fallbacks) {
    if (findAllowed(name, caller, snapshot) !== null) continue
    noteSkip(record, name, findModel(name, snapshot) === null ? 'model_not_found' : 'model_not_allowed')
  }
}
