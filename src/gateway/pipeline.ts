import type { Attempt, Live, Plan, Router } from '#core/attempt.ts'
import type { Call, Endpoint } from '#core/call.ts'
import type { Caller } from '#core/caller.ts'
import type { Clock } from '#core/clock.ts'
import { type GatewayError, toGatewayError } from '#core/errors.ts'
import type { Verdict } from '#core/limiter.ts'
import { type Priority, USUAL_PRIORITY, upTo } from '#core/priority.ts'
import type { RequestRecord } from '#core/record.ts'
import { createScope, type Scope } from '#core/scope.ts'
import type { Snapshot } from '#core/servers.ts'
import { type PrefillOffer, withPrefill } from '#policies/prefill.ts'
import { recover } from '#policies/recover.ts'
import { type Flight, startFlight } from './flight.ts'
import { parseCall } from './parse.ts'
import { openPermit, type Permit, type PermitDeps } from './permit.ts'
import type { Wait } from './queue.ts'
import { watchRecovery } from './recovery.ts'
import { renderPlain, renderStream } from './render.ts'
import { settleCall } from './settle.ts'

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
  /** Called once when a streamed answer is over; a plain one is over when the pipeline returns. */
  readonly onStreamEnd: () => void
}

/** What a request's headers ask of the routing; only ever tighter than the configuration. */
export interface Wishes {
  readonly server: string | null
  readonly strategy: string | null
  readonly timeoutMs: number | null
  readonly maxAttempts: number | null
  readonly priority: Priority | null
}

/** An answer for the edge to send. */
export interface Answer {
  readonly body: string | ReadableStream<Uint8Array>
  readonly live: Live
  /** How the limits stand that the call met after it was read; `null` where there are none. */
  readonly limits: Verdict | null
}

/** What the pipeline is composed of. */
export interface PipelineDeps extends PermitDeps {
  readonly clock: Clock
  readonly snapshot: () => Snapshot
  readonly plan: (call: Call, snapshot: Snapshot, wishes: Wishes) => Plan
  readonly attempt: (record: RequestRecord) => Attempt
  readonly router: (maxAttempts: number, wait: Wait, permit: Permit | null) => Router
}

/** Creates the way of a model call, top to bottom:
 *
 * parse → resolve model and plan → limits → join Flight (slots ⇄ attempts → stream) → render → settle */
export function createPipeline(deps: PipelineDeps): (request: ModelRequest) => Promise<Answer> {
  return async request => {
    const { record, scope, wishes } = request
    const own = wishes.timeoutMs === null ? scope : scope.child({ within: wishes.timeoutMs })
    const { caller, headers } = request
    const priority = priorityOf(caller, wishes)
    const call = parseCall(request.endpoint, request.text, {
      caller,
      priority,
      traceparent: record.traceparent,
      headers,
    })
    record.stream = call.stream
    const permit = openPermit(deps, call, record)
    const settle = once((error: GatewayError | null) => {
      settleCall(record, call, error, deps.clock)
      permit?.settle()
      if (own !== scope) own.close()
    })
    try {
      const snapshot = deps.snapshot()
      const plan = deps.plan(call, snapshot, request.wishes)
      record.plan = plan
      record.model = plan.model.name
      const entering = permit?.enter()
      if (entering !== undefined) await entering
      const live = await takeOff(deps, snapshot, { ...request, call, plan, permit }).join(own)
      const rendered = await render(deps, snapshot, { ...request, scope: own, call, live, settle })
      return { live, body: rendered, limits: permit === null ? null : permit.verdict() }
    } catch (thrown) {
      const error = own.ended ?? toGatewayError(thrown)
      settle(error)
      throw error
    }
  }
}

/** How soon a call gets a place: as it wishes, but no sooner than its caller may. */
export function priorityOf(caller: Caller, wishes: Pick<Wishes, 'priority'>): Priority {
  return upTo(caller.maxPriority ?? USUAL_PRIORITY, wishes.priority ?? USUAL_PRIORITY)
}

/** Callers without a key take turns by their address. */
function waitOf({ caller, priority }: Call, record: RequestRecord): Wait {
  return {
    caller: caller.role === 'anonymous' ? record.address : caller.id,
    priority,
    waited(ms) {
      record.queueMs += ms
    },
  }
}

function takeOff(
  deps: PipelineDeps,
  snapshot: Snapshot,
  from: ModelRequest & { readonly call: Call; readonly plan: Plan; readonly permit: Permit | null },
): Flight {
  const { call, plan, record, wishes, permit } = from
  const [first] = plan.candidates
  const scope = createScope(deps.clock, { within: first?.target.timeouts.total, code: 'deadline_exceeded' })
  const maxAttempts = Math.min(wishes.maxAttempts ?? Infinity, snapshot.settings.maxAttempts)
  const offer: PrefillOffer = { delivered: null, upstreamModel: '', taken: false }
  const run = deps.router(maxAttempts, waitOf(call, record), permit)(withPrefill(deps.attempt(record), offer))
  const trail = {
    begin(candidate: Plan['candidates'][number]) {
      const entry = {
        server: candidate.target.server.id,
        model: candidate.target.upstreamModel,
        startedAt: deps.clock.now(),
        ms: 0,
        result: null,
        cause: null,
      }
      record.attempts.push(entry)
      return entry
    },
  }
  // What a server stores it must not store twice.
  const recovers = call.stream && call.body.store !== true && snapshot.settings.retry.keepOne
  const start = (own: Scope) => {
    const attempts = run(call, plan, own, trail)
    return recovers
      ? recover(attempts, { call, scope: own, offer }, watchRecovery(deps, record, call))
      : attempts.next()
  }
  return startFlight(start, scope, !call.stream)
}

async function render(
  deps: PipelineDeps,
  snapshot: Snapshot,
  from: ModelRequest & {
    readonly call: Call
    readonly live: Live
    readonly settle: (error: GatewayError | null) => void
  },
): Promise<Answer['body']> {
  const { call, record, live } = from
  record.model = live.model.name
  record.server = live.target.server.id
  record.upstreamModel = live.target.upstreamModel
  const rendering = {
    clock: deps.clock,
    record,
    scope: from.scope,
    heartbeatMs: snapshot.settings.heartbeatMs,
    onEnd: from.settle,
  }
  if (!call.stream) return renderPlain(live, rendering)
  deps.journal.note({ type: 'stream-opened' })
  const onEnd = (error: GatewayError | null) => {
    deps.journal.note({ type: 'stream-closed' })
    from.settle(error)
    from.onStreamEnd()
  }
  return renderStream(live, call, { ...rendering, onEnd })
}

function once<T>(run: (value: T) => void): (value: T) => void {
  let called = false
  return value => {
    if (called) return
    called = true
    run(value)
  }
}
