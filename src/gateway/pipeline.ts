import type { Live } from '#core/attempt.ts'
import type { CacheWishes } from '#core/cache.ts'
import type { Call, Endpoint } from '#core/call.ts'
import type { Caller } from '#core/caller.ts'
import { type GatewayError, toGatewayError } from '#core/errors.ts'
import type { Verdict } from '#core/limiter.ts'
import type { RequestRecord } from '#core/record.ts'
import { abandonable, type Scope } from '#core/scope.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Writing } from '#core/writing.ts'
import type { Answers } from './answers/answers.ts'
import { notStored } from './answers/stored.ts'
import { Departure, type DepartureDeps } from './departure.ts'
import { isLate, Promised } from './early.ts'
import { openPermit, type Permit, type PermitDeps, userOf } from './limits/permit.ts'
import { parseCall } from './parse.ts'
import { patiently } from './patience.ts'
import { renderPlain, renderStream, type Source } from './render.ts'
import { settleCall } from './settle.ts'
import { hasClock, priorityOf, type Wishes } from './wishes.ts'

/** A model call as it comes from the edge: read, but not yet looked at. */
export interface ModelRequest {
  readonly endpoint: Endpoint
  readonly text: string
  readonly caller: Caller
  readonly record: RequestRecord
  readonly scope: Scope
  readonly wishes: Wishes
  /** The caller's headers that some dialect passes on. */
  readonly headers?: Call['headers']
  /** What it wants of the cache. */
  readonly cache: CacheWishes
  /** Called once when a streamed answer is over; a plain one is over when the pipeline returns. */
  readonly onStreamEnd: () => void
}

/** An answer for the edge to send. */
export interface Answer {
  readonly body: string | Writing
  /** Who answers; `null` of a stream that begins before anybody is known to. */
  readonly live: Live | null
  /** How the limits stand that the call met after it was read; `null` where there are none, or none are known yet. */
  readonly limits: Verdict | null
}

/** What the pipeline is composed of. */
export interface PipelineDeps extends PermitDeps, DepartureDeps {
  readonly snapshot: () => Snapshot
  /** Read while the cache is on. */
  readonly answers: Answers
  /** Whether prompts and answers are kept. */
  readonly payloads: () => boolean
}

/** Creates the way of a model call, top to bottom:
 *
 * parse → limits → cache → resolve model and plan → join Flight (slots ⇄ attempts → stream) → render → settle */
export function createPipeline(deps: PipelineDeps): (request: ModelRequest) => Promise<Answer> {
  return async request => {
    const { record, scope, wishes, caller, headers } = request
    const own = hasClock(wishes) ? scope.child({ within: wishes.timeoutMs ?? Infinity }) : scope
    const priority = priorityOf(caller, wishes)
    const call = parseCall(request.endpoint, request.text, {
      caller,
      priority,
      traceparent: record.traceparent,
      headers,
    })
    record.stream = call.stream
    record.user = userOf(call)
    if (deps.payloads()) record.payload = { prompt: request.text, answer: '' }
    const permit = openPermit(deps, call, record)
    const account = new Account(deps, request, { call, own, permit })
    try {
      const snapshot = deps.snapshot()
      const { heartbeatMs, earlyHeadersMs } = snapshot.settings
      const coming = enter(deps, snapshot, account)
      const isEarly = call.stream && earlyHeadersMs !== null && (await isLate(coming, earlyHeadersMs, deps.clock))
      // Who has left in the same moment is told nothing.
      if (isEarly && own.ended === null) {
        const answer = coming.then(live => arrived(live, account))
        const body = await stream(deps, { live: new Promised(answer, own), account, heartbeatMs, early: true })
        return { live: null, body, limits: null }
      }
      const live = arrived(await coming, account)
      const body = call.stream
        ? await stream(deps, { live, account, heartbeatMs, early: false })
        : await renderPlain(live, record, deps.clock)
      if (!call.stream) account.settle(null)
      return { live, body, limits: permit === null ? null : permit.verdict() }
    } catch (thrown) {
      const error = own.ended ?? toGatewayError(thrown)
      account.settle(error)
      throw error
    }
  }
}

/** Lets a call in, and promises its committed answer.
 *
 * @throws GatewayError what refuses it at once. */
function enter(deps: PipelineDeps, snapshot: Snapshot, account: Account): Promise<Live> {
  const entering = account.permit?.enter()
  if (entering === undefined) return waitFor(deps, snapshot, account)
  return abandonable(entering, account.own).then(() => waitFor(deps, snapshot, account))
}

/** Waits as long as the caller wants to. */
function waitFor(deps: PipelineDeps, snapshot: Snapshot, account: Account): Promise<Live> {
  const { request, own, call } = account
  const taken = take(deps, snapshot, account)
  return own !== request.scope && call.stream ? patiently(taken, request.wishes, { clock: deps.clock, own }) : taken
}

/** Writes down who answers a call, if anybody still waits for it. */
function arrived(live: Live, { own, request: { record } }: Account): Live {
  if (own.ended !== null) {
    live.close()
    throw own.ended
  }
  record.model = live.model.name
  record.server = live.target.server.id
  record.upstreamModel = live.target.upstreamModel
  return live
}

/** The committed answer of a call: one that is there or under way, where the cache is on, or a new one. */
function take(deps: PipelineDeps, snapshot: Snapshot, account: Account): Promise<Live> {
  const { request, own, call, permit } = account
  const { record, wishes, text, cache } = request
  const { cache: settings } = snapshot.settings
  const passenger = { record, wishes, permit, snapshot }
  if (settings === null) {
    if (cache.onlyStored) throw notStored()
    return new Departure(deps, passenger, call).alone(own)
  }
  const asked = { call, text, record, scope: own, snapshot, settings, cache, wishes }
  return deps.answers(asked, what => new Departure(deps, passenger, what))
}

function stream(
  deps: PipelineDeps,
  of: { readonly live: Source; readonly account: Account; readonly heartbeatMs: number; readonly early: boolean },
): Promise<Writing> {
  const { live, account, heartbeatMs, early } = of
  const { request, call, own } = account
  deps.journal.note({ type: 'stream-opened' })
  const onEnd = (error: GatewayError | null) => {
    deps.journal.note({ type: 'stream-closed' })
    account.settle(error)
    request.onStreamEnd()
  }
  // What begins early waits beside those who join an answer later than that: they have to have left before it is settled.
  const scope = early ? own.child() : own
  return renderStream(live, call, { clock: deps.clock, record: request.record, scope, heartbeatMs, early, onEnd })
}

/** What is still to be written down of a call: once, however it ends. */
class Account {
  readonly request: ModelRequest
  readonly call: Call
  /** The request's scope, with the time that its caller allows. */
  readonly own: Scope
  readonly permit: Permit | null
  private readonly deps: Pick<PipelineDeps, 'clock'>
  private settled = false

  constructor(
    deps: Pick<PipelineDeps, 'clock'>,
    request: ModelRequest,
    of: { readonly call: Call; readonly own: Scope; readonly permit: Permit | null },
  ) {
    this.deps = deps
    this.request = request
    this.call = of.call
    this.own = of.own
    this.permit = of.permit
  }

  settle(error: GatewayError | null): void {
    if (this.settled) return
    this.settled = true
    settleCall(this.request.record, this.call, error, this.deps.clock)
    this.permit?.settle()
    if (this.own !== this.request.scope) this.own.close()
  }
}
