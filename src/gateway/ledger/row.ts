import type { AttemptEntry, Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { costOf } from '#core/cost.ts'
import type { LedgerRow } from '#core/ledger.ts'
import { freeOutcome, type RequestRecord } from '#core/record.ts'
import { servedIn, withServed } from '#core/service-tier.ts'
import type { Usage } from '#core/usage.ts'
import { estimateUsage } from '../settle.ts'

/** The part of a request's row that is known when the request goes out. */
export type Opening = Pick<
  LedgerRow,
  | ('id' | 'tenant' | 'key_id' | 'user_id' | 'session_id' | 'address' | 'started_at' | 'method' | 'route' | 'stream')
  | ('model' | 'server' | 'upstream_model' | 'attempts' | 'input_tokens' | 'cost_nano')
>

const NOTHING: Usage = { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0, estimated: false }
const TEXT_MAX = 2048

/** Whether a request gets a row: it is a model call of a known caller. */
export function isKept({ purpose, caller }: RequestRecord): boolean {
  return purpose === 'call' && caller !== null
}

/** Makes the row of a request that is over. Its members stand in the order of the table's columns, because the hash is
 * made over them in this order. */
export function toRow(record: RequestRecord, endedAt: number, batch: string | null): LedgerRow {
  // An answer from the cache costs nothing; its price stands in the column of saved money.
  const usage = freeOutcome(record) === null ? record.usage : null
  const { outcome, model, server, upstreamModel } = record
  const cost = usage === null ? 0 : record.costNano
  return rowOf(record, { endedAt, outcome, model, server, upstreamModel, usage, cost, batch })
}

/** Makes the opening of a request that goes out, with what differs from request to request. It is read only if the
 * process dies before the request is over. */
export function toOpening(record: RequestRecord, call: Call, { target, model }: Candidate): Opening {
  const usage = estimateUsage(call, 0)
  return {
    id: record.id,
    tenant: record.tenant ?? '',
    key_id: record.caller ?? '',
    user_id: clean(record.user),
    session_id: clean(record.session),
    address: record.address,
    started_at: Math.round(record.startedAt),
    method: record.method,
    route: record.route,
    stream: record.stream ? 1 : 0,
    model: model.name,
    server: target.server.id,
    upstream_model: target.upstreamModel,
    attempts: record.attempts.length,
    input_tokens: usage.input,
    cost_nano: costOf(target.price, withServed(usage, servedIn(call.body))),
  }
}

/** The row of a request whose process has died. */
export function toLostRow(opening: Opening): LedgerRow {
  const { started_at } = opening
  return { ...UNKNOWN, ...opening, day: dayOf(started_at), ended_at: started_at, outcome: 'lost', estimated: 1 }
}

/** The attempts of a request that another one answered in place of; they are the operator's own. */
export function toAttemptRows(row: LedgerRow, record: RequestRecord): readonly LedgerRow[] {
  if (record.attempts.length < 2 || record.passedOn) return []
  return record.attempts.flatMap((attempt, index) => {
    if (attempt.result === 'ok') return []
    const id = `${row.id}.${index + 1}`
    return [{ ...row, ...attemptColumns(record, attempt), id, parent: row.id }]
  })
}

function attemptColumns(record: RequestRecord, attempt: AttemptEntry) {
  const { server, model, result, ms, startedAt, usage } = attempt
  const start = Math.round(record.startedAt + startedAt - record.startedNow)
  return {
    started_at: start,
    ended_at: Math.round(start + ms),
    code: result === 'lost' ? null : result,
    outcome: 'failover',
    server,
    upstream_model: model,
    attempts: 1,
    attempt_list: '[]',
    recovered: 0,
    queue_ms: null,
    first_token_ms: null,
    ...tokensOf(usage ?? NOTHING),
    saved_tokens: 0,
    cost_nano: 0,
    extra_cost_nano: 0,
    saved_nano: 0,
  }
}

interface Ending {
  readonly endedAt: number
  readonly outcome: string
  readonly model: string | null
  readonly server: string | null
  readonly upstreamModel: string | null
  readonly usage: Usage | null
  readonly cost: number | null
  readonly batch: string | null
}

/** A row with nothing filled in, its members in the order of the columns. */
const UNKNOWN: LedgerRow = {
  ...{ id: '', parent: null, tenant: '', key_id: '', user_id: null, session_id: null, address: '', day: '' },
  ...{ started_at: 0, ended_at: 0, method: '', route: '', status: 0, code: null, outcome: '', stream: 0, cache: null },
  ...{ model: null, server: null, upstream_model: null, attempts: 0, attempt_list: '[]', recovered: 0 },
  ...{ queue_ms: 0, first_token_ms: null, input_tokens: 0, cache_read_tokens: 0, cache_write_tokens: 0 },
  ...{ output_tokens: 0, reasoning_tokens: 0, estimated: 0, saved_tokens: 0 },
  ...{ cost_nano: null, extra_cost_nano: 0, saved_nano: 0, batch: null },
}

function rowOf(record: RequestRecord, end: Ending): LedgerRow {
  const { attempts, firstTokenAt } = record
  const usage = end.usage ?? NOTHING
  // Written without spreads, which took longer than all the rest of a row.
  return {
    id: record.id,
    parent: null,
    tenant: record.tenant ?? '',
    key_id: record.caller ?? '',
    user_id: clean(record.user),
    session_id: clean(record.session),
    address: record.address,
    day: dayOf(record.startedAt),
    started_at: Math.round(record.startedAt),
    ended_at: Math.round(end.endedAt),
    method: record.method,
    route: record.route,
    status: record.status,
    code: record.code,
    outcome: end.outcome,
    stream: record.stream ? 1 : 0,
    cache: record.cache?.status ?? null,
    model: end.model,
    server: end.server,
    upstream_model: end.upstreamModel,
    attempts: attempts.length,
    attempt_list: attempts.length === 0 ? '[]' : JSON.stringify(attempts.map(told)),
    recovered: record.recovered ? 1 : 0,
    queue_ms: record.queueMs,
    first_token_ms: firstTokenAt === 0 ? null : firstTokenAt - record.startedNow,
    input_tokens: usage.input,
    cache_read_tokens: usage.cacheRead,
    cache_write_tokens: usage.cacheWrite,
    output_tokens: usage.output,
    reasoning_tokens: usage.reasoning,
    estimated: usage.estimated ? 1 : 0,
    saved_tokens: record.savedTokens,
    cost_nano: end.cost,
    extra_cost_nano: record.extraNano,
    saved_nano: record.savedNano,
    batch: end.batch,
  }
}

function told({ server, model, ms, result }: AttemptEntry) {
  return { server, model, ms: Math.round(ms), result }
}

const DAY_MS = 86_400_000
let lastDay = { number: 0, text: '1970-01-01' }

/** The day of a moment, as `2027-01-31` in UTC; most moments are of the same one. */
function dayOf(time: number): string {
  const number = Math.floor(time / DAY_MS)
  if (number !== lastDay.number) lastDay = { number, text: new Date(number * DAY_MS).toISOString().slice(0, 10) }
  return lastDay.text
}

function tokensOf({ input, cacheRead, cacheWrite, output, reasoning, estimated }: Usage) {
  return {
    input_tokens: input,
    cache_read_tokens: cacheRead,
    cache_write_tokens: cacheWrite,
    output_tokens: output,
    reasoning_tokens: reasoning,
    estimated: estimated ? 1 : 0,
  }
}

/** Makes a caller's text fit for every database. What is kept of a long text is copied: a slice would keep all of it in
 * memory, perhaps megabytes, for as long as the row waits. */
function clean(text: string | null): string | null {
  if (text === null) return null
  const short = text.length > TEXT_MAX ? Buffer.from(text.slice(0, TEXT_MAX)).toString() : text
  return short.toWellFormed().replaceAll('\0', '�')
}
