import type { Attempt, Candidate, Live, Outcomes, Slot } from '#core/attempt.ts'
import type { Call, Endpoint } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { DataFrame, Frame } from '#core/frame.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Scope } from '#core/scope.ts'
import type { Server, Target } from '#core/servers.ts'
import type { Head, Provider } from '#providers/provider.ts'
import type { Incoming, Transport } from '#providers/transport.ts'
import { invalidAnswer } from '#providers/upstream-error.ts'
import { isExcessive } from './excess.ts'
import { hideSecrets } from './hide.ts'
import { GATEWAY_ROLE, viaNext } from './hops.ts'
import { readUpstream } from './upstream.ts'

/** The largest plain answer that is read, in bytes. OpenAI's largest has the vectors of one request: 2048 of them
 * with 3072 numbers each, written as text. */
const ANSWER_BYTES_MAX: Readonly<Record<Endpoint, number>> = {
  chat: 16 * 1024 * 1024,
  completions: 16 * 1024 * 1024,
  embeddings: 128 * 1024 * 1024,
}
/** How many members all objects of a plain answer may have together. The log probabilities of a long answer have half a
 * million, vectors almost none; to parse many more blocks the event loop for seconds. */
const MEMBERS_MAX: Readonly<Record<Endpoint, number>> = {
  chat: 1_000_000,
  completions: 1_000_000,
  embeddings: 100_000,
}
/** The largest body of an error that is read, in bytes. */
const ERROR_BYTES_MAX = 64 * 1024

/** How long the body of an error is waited for, in milliseconds: its status already decides what is done. */
const ERROR_MS = 3000

/** The parts that an attempt needs from outside. */
export interface DialDeps {
  readonly providers: ReadonlyMap<string, Provider>
  readonly transportFor: (server: Server) => Transport
  readonly clock: Clock
  /** The name of this gateway in the `via` header of requests to another gateway. */
  readonly hop?: string
  /** Called with how each committed stream ended. */
  readonly outcomes?: Outcomes
}

/** Creates the innermost attempt: it translates the call, sends it, reads the answer and translates it back. It neither
 * chooses a server nor repeats anything. */
export function createDial(deps: DialDeps, record: RequestRecord): Attempt {
  return async ({ call, slot, scope, secret, delivered }) => {
    const { target } = slot.candidate
    const provider = deps.providers.get(target.server.kind)
    if (provider === undefined) throw new GatewayError('internal_error', 'This server has a kind that is not built.')
    if (!provider.endpoints.has(call.endpoint)) {
      throw new GatewayError('unsupported_parameter', `The servers of this model do not offer this endpoint.`)
    }
    const encoded = provider.encode(
      call,
      target,
      secret === undefined ? (target.server.secrets[0] ?? null) : secret,
      delivered,
    )
    const passed =
      target.server.role === GATEWAY_ROLE && deps.hop !== undefined
        ? { ...encoded, headers: { ...encoded.headers, via: viaNext(deps.hop, call.headers?.via) } }
        : encoded
    // A request whose answer the server stores must not arrive twice.
    const outgoing = call.body.store === true ? { ...passed, once: true } : passed
    if (outgoing.dropped !== undefined && outgoing.dropped.length > 0) noteDropped(record, target, outgoing.dropped)
    // A caller that left while a limit or a budget was asked has used nothing.
    if (scope.ended !== null) throw scope.ended
    if (record.dialledAt === 0) record.dialledAt = deps.clock.now()
    const incoming = await deps.transportFor(target.server)(outgoing, scope, target.timeouts)
    const { head } = incoming
    if (head.status < 200 || head.status > 299) {
      const text = await wordsOf(incoming, deps.clock)
      throw hideSecrets(provider.decodeError(head, isExcessive(text) ? '' : text), target.server)
    }
    if (!call.stream) {
      const answer = decodeWhole(provider, call, head, await incoming.text(ANSWER_BYTES_MAX[call.endpoint]))
      if (answer instanceof GatewayError) throw hideSecrets(answer, target.server)
      return new WholeAnswer(answer, slot)
    }
    const type = (head.header('content-type') ?? '').toLowerCase()
    if (provider.framing === 'sse' && type.startsWith('application/json')) {
      const answer = decodeWhole(provider, call, head, await incoming.text(ANSWER_BYTES_MAX[call.endpoint]))
      throw answer instanceof GatewayError
        ? hideSecrets(answer, target.server)
        : invalidAnswer('a plain answer to a stream')
    }
    if (type.startsWith('text/html')) {
      incoming.close()
      throw invalidAnswer(`content-type ${type}`)
    }
    return openStream({ deps, record, provider, incoming }, call, slot.candidate, scope)
  }
}

/** Reads the body of an error; an empty text where it is too long, breaks off or takes too long. */
async function wordsOf(incoming: Incoming, clock: Clock): Promise<string> {
  const disarm = clock.after(ERROR_MS, () => incoming.close())
  try {
    return await incoming.text(ERROR_BYTES_MAX)
  } catch {
    return ''
  } finally {
    disarm()
    incoming.close()
  }
}

/** Reads a whole answer. If the dialect throws while it reads one, that is the server's fault, as with an event of a
 * stream. */
function decodeWhole(provider: Provider, call: Call, head: Head, text: string): DataFrame | GatewayError {
  if (isExcessive(text, MEMBERS_MAX[call.endpoint])) return invalidAnswer('an answer with too many levels or members')
  try {
    return provider.decode(call, text, head)
  } catch (thrown) {
    return invalidAnswer(`an answer that ends in a ${thrown instanceof Error ? thrown.name : 'failure'}`)
  }
}

/** A function of its own, so that a plain answer does not pay for its closures. The place of a stream is the commit
 * gate's to free. */
function openStream(
  from: {
    readonly deps: DialDeps
    readonly record: RequestRecord
    readonly provider: Provider
    readonly incoming: Incoming
  },
  call: Call,
  { target, model }: Candidate,
  scope: Scope,
): Live {
  const { deps, record, provider, incoming } = from
  const stream = readUpstream({
    incoming,
    provider,
    call,
    scope,
    clock: deps.clock,
    idleMs: target.timeouts.idle,
    server: target.server,
    onSkipped: () => {
      record.eventsSkipped++
    },
    onEnd: error => (error === null ? deps.outcomes?.succeeded(target) : deps.outcomes?.failed(target, error.code)),
  })
  return {
    target,
    model,
    next: stream.next,
    ...(stream.bypass !== undefined && { bypass: stream.bypass }),
    close: stream.close,
  }
}

/** Notes which parameters the dialect left out, in the record's entry of this attempt. */
function noteDropped({ attempts }: RequestRecord, { server, upstreamModel }: Target, dropped: readonly string[]): void {
  const entry = attempts.findLast(each => each.server === server.id && each.model === upstreamModel)
  if (entry !== undefined) entry.dropped = dropped
}

const NOTHING_MORE: readonly Frame[] = []

/** A plain answer: one frame, and then no more. */
class WholeAnswer implements Live {
  private readonly slot: Slot
  private frames: readonly Frame[]

  constructor(frame: Frame, slot: Slot) {
    this.slot = slot
    this.frames = [frame]
  }

  get target() {
    return this.slot.candidate.target
  }

  get model() {
    return this.slot.candidate.model
  }

  next(): Promise<readonly Frame[]> {
    const { frames } = this
    this.frames = NOTHING_MORE
    return Promise.resolve(frames)
  }

  close(): void {
    this.slot.release()
  }
}
