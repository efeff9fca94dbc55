import type { AttemptEntry, Plan } from './attempt.ts'
import type { CacheNote } from './cache.ts'
import type { Call } from './call.ts'
import { costOf } from './cost.ts'
import type { Code, GatewayError } from './errors.ts'
import type { Price } from './servers.ts'
import { inputTokens, type Usage } from './usage.ts'

/** How a request ended, for accounting. */
export type Outcome = 'ok' | 'recovered' | 'hit' | 'coalesced' | 'denied' | 'cancelled' | 'failed' | 'interrupted'

/** A model that could have answered, and the code of what refused it. */
interface Skip {
  readonly model: string
  readonly code: Code
}

/** Everything that is known of one request: written by the steps, read once when it is settled.
 *
 * It is the log line, and what the metrics and the ledger are made of. */
export interface RequestRecord {
  readonly id: string
  /** Epoch milliseconds. */
  readonly startedAt: number
  /** Monotonic milliseconds. */
  readonly startedNow: number
  readonly method: string
  readonly path: string
  /** The route's pattern; `other` when no route matched. */
  route: string
  /** What the route is for: `administration` changes something for all, or tells the gateway something. */
  purpose: 'call' | 'administration' | 'other'
  /** The peer's address. */
  address: string
  /** Its own id for the request, logged and not trusted. */
  callerRequestId: string | null
  traceparent: string | null
  caller: string | null
  tenant: string | null
  status: number
  code: Code | null
  /** The private story behind `code`. */
  error: GatewayError | null
  outcome: Outcome
  /** The public model that was chosen; `null` for what is no model call. */
  model: string | null
  server: string | null
  upstreamModel: string | null
  stream: boolean
  /** Who could answer, and why; `null` before it is known. */
  plan: Plan | null
  attempts: AttemptEntry[]
  /** Monotonic milliseconds from which the next such request passes the limits that this one has passed; 0 = at once. */
  nextAt: number
  /** Models that were passed over because a limit, a budget or the caller's rights refused them; `null` when none was. */
  skipped: readonly Skip[] | null
  usage: Usage | null
  /** What the server had counted of an answer that is not whole; `null` when it has not said. */
  soFar: Usage | null
  /** What the caller is charged, in billionths of a US dollar; `null` while it is not known, or never will be. */
  costNano: number | null
  /** What answering cost the operator besides, such as attempts that were paid for and not used. */
  extraNano: number | null
  /** The end user and the conversation that the caller names. */
  user: string | null
  session: string | null
  /** The prompt and the answer, where they are to be kept. */
  payload: { readonly prompt: string; answer: string } | null
  /** Whether the answer broke off and went on from another attempt, and whether that one was given its beginning. */
  recovered: boolean
  prefilled: boolean
  /** What the cache did; `null` while it is off. */
  cache: CacheNote | null
  /** Whether there was a stored answer that was older than the request allows. */
  foundTooOld: boolean
  /** Whether the time that its caller had set was over: as if the caller had left, but for being told. */
  gaveUp: boolean
  /** Whether somebody else who listens to the same answer pays for it, because this request left before its end. */
  passedOn: boolean
  /** The request that began the answer, where this one pays for it in its place. */
  heirOf: RequestRecord | null
  /** Tokens that were answered without asking a server for them. */
  savedTokens: number
  /** What they would have cost, in billionths of a US dollar; `null` when that is not known. */
  savedNano: number | null
  /** What servers are asked where that is less than the call itself, because a part of it was stored. */
  asked: Call | null
  /** The price of the target whose answer was given without asking it; `null` when it is not known, or was asked. */
  sparedPrice: Price | null
  /** Milliseconds spent waiting for places at servers, over all attempts. */
  queueMs: number
  /** Monotonic milliseconds of each moment; 0 = not reached. */
  dialledAt: number
  firstTokenAt: number
  answeredAt: number
  endedAt: number
  /** Frames with content, and characters of content, sent to the caller. */
  contentFrames: number
  contentChars: number
  /** Characters of content that were said at this request's cost, where others were ahead of it; else 0. */
  saidChars: number
  /** Upstream events that could not be read and were left out. */
  eventsSkipped: number
}

/** Opens the record of a request. */
export function createRecord(start: {
  readonly id: string
  readonly startedAt: number
  readonly startedNow: number
  readonly method: string
  readonly path: string
  readonly address: string
}): RequestRecord {
  return {
    id: start.id,
    startedAt: start.startedAt,
    startedNow: start.startedNow,
    method: start.method,
    path: start.path,
    route: 'other',
    purpose: 'other',
    address: start.address,
    callerRequestId: null,
    traceparent: null,
    caller: null,
    tenant: null,
    status: 0,
    code: null,
    error: null,
    outcome: 'ok',
    model: null,
    server: null,
    upstreamModel: null,
    stream: false,
    plan: null,
    attempts: [],
    nextAt: 0,
    skipped: null,
    usage: null,
    soFar: null,
    costNano: null,
    extraNano: 0,
    user: null,
    session: null,
    payload: null,
    recovered: false,
    prefilled: false,
    cache: null,
    foundTooOld: false,
    gaveUp: false,
    passedOn: false,
    heirOf: null,
    savedTokens: 0,
    savedNano: 0,
    asked: null,
    sparedPrice: null,
    queueMs: 0,
    dialledAt: 0,
    firstTokenAt: 0,
    answeredAt: 0,
    endedAt: 0,
    contentFrames: 0,
    contentChars: 0,
    saidChars: 0,
    eventsSkipped: 0,
  }
}

/** Of all models that one call may be refused. */
const SKIPS_MAX = 20

/** Writes down that a model was passed over, once for each reason: several of its servers may be too dear. */
export function noteSkip(record: Pick<RequestRecord, 'skipped'>, model: string, code: Code): void {
  const skipped = record.skipped ?? []
  if (skipped.length >= SKIPS_MAX || skipped.some(skip => skip.model === model && skip.code === code)) return
  record.skipped = [...skipped, { model, code }]
}

/** Forgets what the server that broke off had counted: the answer that goes on is counted by the one that gives it. */
export function forgetCount(counted: Pick<RequestRecord, 'usage' | 'soFar'>): void {
  counted.usage = null
  counted.soFar = null
}

/** How a call ends that asked no server for its own sake, so that its usage was counted when a server said it; `null`
 * for every other. */
export function freeOutcome({ cache, heirOf }: Pick<RequestRecord, 'cache' | 'heirOf'>): 'hit' | 'coalesced' | null {
  if (heirOf !== null) return null
  return cache !== null && (cache.status === 'hit' || cache.status === 'coalesced') ? cache.status : null
}

/** Counts what no server was asked for. */
export function countSaved(record: RequestRecord, price: Price | null, usage: Usage): void {
  record.savedTokens += inputTokens(usage) + usage.output
  const nano = costOf(price, usage)
  record.savedNano = nano === null || record.savedNano === null ? null : record.savedNano + nano
}
