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

/** A model call as it comes from the edge: the body is read, but not parsed. */
export interface ModelRequest {
  readonly endpoint: Endpoint
  readonly text: string
  readonly caller: Caller
  readonly record: RequestRecord
  readonly scope: Scope
  readonly wishes: Wishes
  /** The headers of the caller that a dialect may pass on. */
  readonly headers?: Call['headers']
  /** What the caller wants from the cache. */
  readonly cache: CacheWishes
  /** Called once when a streamed answer has ended; a plain answer has ended when the pipeline returns. */
  readonly onStreamEnd: () => void
}

/** An answer for the edge to send. */
export interface Answer {
  readonly body: string | Writing
  /** The answer and who gives it; `null` for a stream that began early, before any server had answered. */
  readonly live: Live | null
  /** The state of the limits that were checked after the body was read; `null` when there are none, or when the stream
   * began before they were checked. */
  readonly limits: Verdict | null
}

/** What the pipeline is composed of. */
export interface PipelineDeps extends PermitDeps, DepartureDeps {
  readonly snapshot: () => Snapshot
  /** Used only while the cache is on. */
  readonly answers: Answers
  /** Whether prompts and answers are recorded. */
  readonly payloads: () => boolean
}

/** Creates the pipeline of a model call, from top to bottom:
 *
 * parse → limits → cache → resolve model and plan → join Flight (slots ⇄ attempts → stream) → render → settle */
export function createPipeline(deps: PipelineDeps): (request: ModelRequest) => Promise<Answer> {
  return async request => {
    const { record, scope, wishes, caller, headers } = request
    const callScope = hasClock(wishes) ? scope.child({ within: wishes.timeoutMs ?? Infinity }) : scope
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
    const active = new ActiveCall(deps, request, { call, scope: callScope, permit })
    try {
      const snapshot = deps.snapshot()
      const { heartbeatMs, earlyHeadersMs } = snapshot.settings
      const committed = passLimits(deps, snapshot, active)
      const early = call.stream && earlyHeadersMs !== null && (await isLate(committed, earlyHeadersMs, deps.clock))
      // Nothing is sent to a caller that has just left.
      if (early && callScope.ended === null) {
        const answer = committed.then(live => accept(live, active))
        const body = await streamAnswer(deps, { live: new Promised(answer, callScope), active, heartbeatMs, early })
        return { live: null, body, limits: null }
      }
      const live = accept(await committed, active)
      const body = call.stream
        ? await streamAnswer(deps, { live, active, heartbeatMs, early: false })
        : await renderPlain(live, record, deps.clock)
      if (!call.stream) active.settle(null)
      return { live, body, limits: permit === null ? null : permit.verdict() }
    } catch (thrown) {
      const error = callScope.ended ?? toGatewayError(thrown)
      active.settle(error)
      throw error
    }
  }
}

/** Checks the limits that need the parsed body, then goes on to the answer. No promise is made for it while no limiter
 * has to be waited for.
 *
 * @returns The answer, once it is committed.
 * @throws GatewayError at once what a limiter in memory refuses. */
function passLimits(deps: PipelineDeps, snapshot: Snapshot, active: ActiveCall): Promise<Live> {
  const checking = active.permit?.enter()
  if (checking === undefined) return awaitAnswer(deps, snapshot, active)
  return abandonable(checking, active.scope).then(() => awaitAnswer(deps, snapshot, active))
}

/** Waits for the answer; for a stream, no longer than the timeouts that the headers of the request set. */
function awaitAnswer(deps: PipelineDeps, snapshot: Snapshot, active: ActiveCall): Promise<Live> {
  const { request, scope, call } = active
  const answer = obtain(deps, snapshot, active)
  if (scope === request.scope || !call.stream) return answer
  return patiently(answer, request.wishes, { clock: deps.clock, own: scope })
}

/** Accepts a committed answer: records who gave it, or closes it when nobody waits for it any more.
 *
 * @throws GatewayError why the call ended. */
function accept(live: Live, { scope, request: { record } }: ActiveCall): Live {
  if (scope.ended !== null) {
    live.close()
    throw scope.ended
  }
  record.model = live.model.name
  record.server = live.target.server.id
  record.upstreamModel = live.target.upstreamModel
  return live
}

/** Finds or starts the answer of a call: while the cache is on, a stored or a running one, else a new one.
 *
 * @returns The answer, once it is committed. */
function obtain(deps: PipelineDeps, snapshot: Snapshot, active: ActiveCall): Promise<Live> {
  const { request, scope, call, permit } = active
  const { record, wishes, text, cache } = request
  const { cache: settings } = snapshot.settings
  const origin = { record, wishes, permit, snapshot }
  if (settings === null) {
    if (cache.onlyStored) throw notStored()
    return new Departure(deps, origin, call).alone(scope)
  }
  const asked = { call, text, record, scope, snapshot, settings, cache, wishes }
  return deps.answers(asked, missing => new Departure(deps, origin, missing))
}

/** Writes an answer as a stream; the call is settled when the stream ends. */
function streamAnswer(
  deps: PipelineDeps,
  of: { readonly live: Source; readonly active: ActiveCall; readonly heartbeatMs: number; readonly early: boolean },
): Promise<Writing> {
  const { live, active, heartbeatMs, early } = of
  const { request, call } = active
  deps.journal.note({ type: 'stream-opened' })
  const onEnd = (error: GatewayError | null) => {
    deps.journal.note({ type: 'stream-closed' })
    active.settle(error)
    request.onStreamEnd()
  }
  // A scope calls its listeners in the order in which they were added, and its children last. An early stream adds its
  // listener before it joins an answer. As a child it is settled only after its call has left that answer and passed it
  // on to others.
  const scope = early ? active.scope.child() : active.scope
  return renderStream(live, call, { clock: deps.clock, record: request.record, scope, heartbeatMs, early, onEnd })
}

/** A parsed call that is not settled yet. */
class ActiveCall {
  readonly request: ModelRequest
  readonly call: Call
  /** The scope of the request, or a child of it when headers of the request set timeouts. */
  readonly scope: Scope
  readonly permit: Permit | null
  private readonly deps: Pick<PipelineDeps, 'clock'>
  private settled = false

  constructor(
    deps: Pick<PipelineDeps, 'clock'>,
    request: ModelRequest,
    of: { readonly call: Call; readonly scope: Scope; readonly permit: Permit | null },
  ) {
    this.deps = deps
    this.request = request
    this.call = of.call
    this.scope = of.scope
    this.permit = of.permit
  }

  /** Completes the record and gives back what is held of the limits. Only the first call has an effect. */
  settle(error: GatewayError | null): void {
    if (this.settled) return
    this.settled = true
    this.request.record.gaveUp = this.scope.ended !== this.request.scope.ended
    settleCall(this.request.record, this.call, error, this.deps.clock)
    this.permit?.settle()
    if (this.scope !== this.request.scope) this.scope.close()
  }
}
