import { type AttemptEntry, type Candidate, findCandidate } from '#core/attempt.ts'
import type { Said } from '#core/bypass.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { costAt } from '#core/cost.ts'
import type { GatewayError } from '#core/errors.ts'
import { contentLength, contentText, type DataFrame } from '#core/frame.ts'
import { countSaved, freeOutcome, type RequestRecord } from '#core/record.ts'
import { servedIn, withServed } from '#core/service-tier.ts'
import { estimateTokens, inputTokens, promptLength, type Usage } from '#core/usage.ts'

/** Writes what one frame of the answer reports into the record. */
export function countFrame(record: RequestRecord, frame: DataFrame, clock: Clock): void {
  if (frame.usage !== null) record.usage = frame.usage
  if (frame.soFar !== undefined) record.soFar = frame.soFar
  if (frame.kind === 'usage' || frame.kind === 'start') return
  if (record.firstTokenAt === 0) record.firstTokenAt = clock.now()
  record.contentFrames++
  record.contentChars += contentLength(frame.chunk)
  if (record.payload !== null) record.payload.answer += contentText(frame.chunk)
}

/** The same for events that only add text to what an earlier frame began. */
export function countSaid(record: RequestRecord, { events, field, text }: Said): void {
  record.contentFrames += events
  record.contentChars += text.length
  if (record.payload !== null && field === 'content') record.payload.answer += text
}

/** Completes the record of a model call when it is over: how it ended, and what it used. */
export function settleCall(record: RequestRecord, call: Call, error: GatewayError | null, clock: Clock): void {
  record.answeredAt = clock.now()
  if (record.heirOf !== null) inherit(record, record.heirOf)
  const free = freeOutcome(record)
  if (error === null) record.outcome = free ?? (record.recovered ? 'recovered' : 'ok')
  else {
    record.code = error.code
    record.error = error
    // Without a plan nothing else names the model, and the call would not be counted as a model call.
    record.model ??= error.model
    if (error.code === 'client_closed_request') record.outcome = 'cancelled'
    else
      record.outcome =
        record.contentFrames > 0 ? 'interrupted' : record.attempts.length > 0 || free !== null ? 'failed' : 'denied'
    if (!record.passedOn) endAttempts(record, error, clock)
  }
  if (record.passedOn) {
    record.usage = null
    record.costNano = 0
    return
  }
  const asked = record.asked ?? call
  for (const attempt of record.attempts) if (attempt.result === 'lost') attempt.usage = estimateUsage(asked, 0)
  if (free !== null) {
    record.costNano = 0
    if (record.usage !== null) countSaved(record, record.sparedPrice, record.usage)
    return
  }
  const said = Math.max(record.contentChars, record.saidChars)
  const left = (record.outcome === 'cancelled' || record.gaveUp) && isAsked(record)
  const answered = error === null || record.contentFrames > 0 || left
  if (record.usage === null && answered) {
    record.usage = usageSoFar(record, asked, said)
    if (record.server === null) nameLast(record)
  } else if (record.usage !== null) record.usage = withPrompt(record.usage, asked)
  if (left) countLeft(record, asked)
  chargeCall(record, asked)
}

/** How an attempt ends that was under way when its caller left, or had no more time. */
const LEFT: ReadonlySet<AttemptEntry['result']> = new Set(['client_closed_request', 'deadline_exceeded'] as const)

/** Whether a server was at work when the caller left: those that have failed cost nothing. */
function isAsked({ heirOf, dialledAt, attempts }: RequestRecord): boolean {
  return (heirOf?.dialledAt ?? dialledAt) > 0 && attempts.some(({ result }) => result === 'ok' || LEFT.has(result))
}

/** Counts the prompt that other servers had read when the caller left: those that raced, and the one whose answer was
 * still compared with what the caller had been given. */
function countLeft(record: RequestRecord, asked: Call): void {
  const { attempts } = record
  const [answer, last] = [answeringAttempt(record), attempts.at(-1)]
  if (last !== answer && last?.result === 'ok') last.result = 'client_closed_request'
  for (const attempt of attempts) {
    if (attempt !== answer && LEFT.has(attempt.result)) attempt.usage = estimateUsage(asked, 0)
  }
}

/** The attempt whose answer the caller was given, or at least waited for. */
function answeringAttempt({ attempts, server, upstreamModel }: RequestRecord): AttemptEntry | undefined {
  return attempts.findLast(attempt => attempt.server === server && attempt.model === upstreamModel)
}

/** If no server has answered, the last one that was still at it is named, else the last one that was asked. */
function nameLast(record: RequestRecord): void {
  const { attempts } = record
  const last = attempts.findLast(({ result }) => LEFT.has(result)) ?? attempts.at(-1)
  if (last === undefined) return
  record.server = last.server
  record.upstreamModel = last.model
  record.model = candidateAt(record, last.server, last.model)?.model.name ?? record.model
}

/** Ends the entries of attempts in progress: a caller that leaves does not wait for their results. */
function endAttempts({ attempts }: RequestRecord, { code }: GatewayError, clock: Clock): void {
  for (const attempt of attempts) {
    if (attempt.result !== null) continue
    attempt.result = code
    attempt.ms = clock.now() - attempt.startedAt
  }
}

/** Copies what is known of the answer from the request that began it. */
function inherit(record: RequestRecord, began: RequestRecord): void {
  record.plan = began.plan
  record.attempts = began.attempts
  record.recovered = began.recovered
  record.prefilled = began.prefilled
  record.eventsSkipped = began.eventsSkipped
  record.model ??= began.model
  if (!began.recovered) return
  record.model = began.model
  record.server = began.server
  record.upstreamModel = began.upstreamModel
}

/** Computes what the call costs: the caller pays for the answer, even if it broke off for good, and the operator for
 * anything else that was used. */
function chargeCall(record: RequestRecord, asked: Call): void {
  const { attempts, server, upstreamModel, error } = record
  if (record.usage !== null) record.usage = asServed(record.usage, asked, answeringAttempt(record))
  const { usage } = record
  const broken = error === null || usage === null ? undefined : answeringAttempt(record)
  record.costNano = usage === null ? 0 : costBy(record, server, upstreamModel, usage)
  // Its tokens stand in the row of the call.
  if (broken !== undefined) broken.usage = undefined
  for (const attempt of attempts) {
    if (attempt.usage === undefined) continue
    const cost = costBy(record, attempt.server, attempt.model, asServed(attempt.usage, asked, attempt))
    record.extraNano = cost === null || record.extraNano === null ? null : record.extraNano + cost
  }
}

/** Takes for a tier of service that the server does not tell the one that it was asked for. */
function asServed(usage: Usage, { body }: Call, attempt: AttemptEntry | undefined): Usage {
  const dropped = attempt?.dropped ?? []
  const said =
    dropped.length === 0 ? body : Object.fromEntries(Object.entries(body).filter(([name]) => !dropped.includes(name)))
  return withServed(usage, servedIn(said))
}

function costBy(
  record: RequestRecord,
  server: string | null,
  upstreamModel: string | null,
  usage: Usage,
): number | null {
  const candidate = candidateAt(record, server, upstreamModel)
  return candidate === null ? null : costAt(candidate.target, usage)
}

/** The candidate of an attempt. Several models may have the same target, each at its own price. */
function candidateAt(
  { plan, model }: RequestRecord,
  server: string | null,
  upstreamModel: string | null,
): Candidate | null {
  const isAt = ({ target }: Candidate) => target.server.id === server && target.upstreamModel === upstreamModel
  const isOwn = (candidate: Candidate) => candidate.model.name === model && isAt(candidate)
  return plan === null ? null : (findCandidate(plan, isOwn) ?? findCandidate(plan, isAt))
}

/** Adds the prompt to a count that leaves it out, as some servers do with a prompt that was in their cache: it was read all
 * the same. */
function withPrompt(usage: Usage, call: Call): Usage {
  if (inputTokens(usage) > 0) return usage
  const { input } = estimateUsage(call, 0)
  return input === 0 ? usage : { ...usage, input, estimated: true }
}

/** What an incomplete answer has used: the prompt as the server counted it, with the part from a prompt cache, and as
 * much of the answer as was counted or sent. */
export function usageSoFar({ soFar }: Pick<RequestRecord, 'soFar'>, call: Call, characters: number): Usage {
  const estimate = estimateUsage(call, characters)
  if (soFar === null) return estimate
  // Servers that imitate another dialect may report 0 at the beginning, and the true count only at the end.
  return { ...withPrompt(soFar, call), output: Math.max(soFar.output, estimate.output), estimated: true }
}

/** Estimates what a call has used when no server says so: from the prompt and the number of characters of the answer.
 */
export function estimateUsage(call: Call, characters: number): Usage {
  const [input, output] = [estimateTokens(promptLength(call.body)), estimateTokens(characters)]
  return { input, cacheRead: 0, cacheWrite: 0, output, reasoning: 0, estimated: true }
}
