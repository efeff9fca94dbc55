import type { Candidate } from '#core/attempt.ts'
import { type Caller, DEFAULT_TENANT, hasRole } from '#core/caller.ts'
import type { Clock } from '#core/clock.ts'
import type { History } from '#core/history.ts'
import type { Fact } from '#core/journal.ts'
import { formatUsd } from '#core/money.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Usage } from '#core/usage.ts'
import { overheadMs } from '#telemetry/request-metrics.ts'

/** Creates the listener that remembers model calls: those of callers that are known, so that a flood of strangers, or
 * servers that say every few seconds that they live, push nobody's out. */
export function rememberRequests(history: Pick<History, 'keep'>): (fact: Fact) => void {
  return fact => {
    if (fact.type !== 'request-settled' || fact.record.purpose !== 'call') return
    if (fact.record.caller !== null) history.keep(fact.record)
  }
}

/** Whether a request is the caller's to look at: its own, or for who may watch any of its tenant. Callers without a key
 * are told apart by their address. */
export function maySee(caller: Caller, address: string, record: RequestRecord): boolean {
  if (hasRole(caller.role, 'viewer') && caller.tenant === DEFAULT_TENANT) return true
  if (record.tenant !== caller.tenant) return false
  if (hasRole(caller.role, 'viewer')) return true
  if (record.caller !== caller.id) return false
  return caller.role !== 'anonymous' || record.address === address
}

/** What happened to a request, in public words: no prompt, no answer, no address, no cause.
 *
 * @param running Whether it still goes on. */
export function explainRequest(record: RequestRecord, running: boolean, clock: Clock) {
  const now = clock.now()
  const { usage, plan } = record
  return {
    id: record.id,
    object: 'request' as const,
    started_at: new Date(record.startedAt).toISOString(),
    outcome: running ? ('running' as const) : record.outcome,
    status: record.status === 0 ? null : record.status,
    code: record.code,
    route: record.route,
    caller: record.caller,
    stream: record.stream,
    model: record.model,
    server: record.server,
    upstream_model: record.upstreamModel,
    strategy: plan?.strategy ?? null,
    candidates: (plan?.candidates ?? []).map(toReport),
    excluded: (plan?.excluded ?? []).map(toReport),
    skipped: record.skipped ?? [],
    attempts: record.attempts.map(({ server, model, startedAt, ms, result, dropped }) => ({
      server,
      upstream_model: model,
      started_ms: round(startedAt - record.startedNow),
      ms: round(result === null && running ? now - startedAt : ms),
      result,
      dropped_parameters: dropped ?? [],
    })),
    timings: timingsOf(record, running ? now : record.endedAt, running),
    usage: usage && usageOf(usage),
    cache: record.cache?.status ?? null,
    saved_tokens: record.savedTokens,
    saved_usd: record.savedNano === null ? null : Number(formatUsd(record.savedNano)),
    cost_usd: costOf(record, running),
    content_chars: record.contentChars,
    events_skipped: record.eventsSkipped,
  }
}

function usageOf({ input, cacheRead, cacheWrite, output, reasoning, estimated, parts, ...served }: Usage) {
  const { serviceTier, inferenceGeo } = served
  const sums = {
    ...{ input, cache_read: cacheRead, cache_write: cacheWrite, output, reasoning, estimated },
    ...(serviceTier !== undefined && { service_tier: serviceTier }),
    ...(inferenceGeo !== undefined && { inference_geo: inferenceGeo }),
  }
  if (parts === undefined) return sums
  const { audioInput, audioCacheRead, audioOutput, cacheWriteHour, searches } = parts
  const audio = { audio_input: audioInput, audio_cache_read: audioCacheRead, audio_output: audioOutput }
  return { ...sums, parts: { ...audio, cache_write_1h: cacheWriteHour, searches } }
}

/** What is over and has used nothing costs nothing, also where nobody came as far as to count. */
function costOf({ costNano, usage }: RequestRecord, running: boolean): number | null {
  if (costNano !== null) return Number(formatUsd(costNano))
  return running || usage !== null ? null : 0
}

/** A candidate as people are told of it. */
export function toReport({ target, model, reason }: Candidate) {
  return { server: target.server.id, model: model.name, upstream_model: target.upstreamModel, reason }
}

function timingsOf(record: RequestRecord, end: number, running: boolean) {
  const since = (moment: number) => (moment === 0 ? null : round(moment - record.startedNow))
  const own = running ? null : overheadMs(record)
  return {
    queue_ms: round(record.queueMs),
    dialled_ms: since(record.dialledAt),
    first_token_ms: since(record.firstTokenAt),
    answered_ms: since(record.answeredAt),
    total_ms: round(end - record.startedNow),
    gateway_ms: own === null ? null : round(own),
  }
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100
}
