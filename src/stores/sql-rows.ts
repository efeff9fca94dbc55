import { AUDIT_KINDS, type AuditRow, type LedgerRow } from '#core/ledger.ts'

/** A row of a table as the client gives it. */
export type RawRow = Readonly<Record<string, string | number | bigint | null>>

/** A row of `audit`. */
export function toAuditRow(raw: RawRow): AuditRow {
  const kind = AUDIT_KINDS.find(known => known === raw.kind)
  return {
    id: text(raw.id),
    tenant: text(raw.tenant),
    at: Number(raw.at),
    kind: kind ?? 'error',
    action: text(raw.action),
    actor: textOrNull(raw.actor),
    address: textOrNull(raw.address),
    request_id: textOrNull(raw.request_id),
    subject: textOrNull(raw.subject),
    outcome: text(raw.outcome),
    code: textOrNull(raw.code),
    detail: text(raw.detail),
    chain: text(raw.chain),
    seq: Number(raw.seq),
    prev: text(raw.prev),
    hash: text(raw.hash),
  }
}

/** A row of `requests`, its members in the order in which they were hashed. */
export function toLedgerRow(raw: RawRow): LedgerRow {
  return {
    id: text(raw.id),
    parent: textOrNull(raw.parent),
    tenant: text(raw.tenant),
    key_id: text(raw.key_id),
    user_id: textOrNull(raw.user_id),
    session_id: textOrNull(raw.session_id),
    address: text(raw.address),
    day: text(raw.day),
    started_at: Number(raw.started_at),
    ended_at: Number(raw.ended_at),
    method: text(raw.method),
    route: text(raw.route),
    status: Number(raw.status),
    code: textOrNull(raw.code),
    outcome: text(raw.outcome),
    stream: Number(raw.stream),
    cache: textOrNull(raw.cache),
    model: textOrNull(raw.model),
    server: textOrNull(raw.server),
    upstream_model: textOrNull(raw.upstream_model),
    attempts: Number(raw.attempts),
    attempt_list: text(raw.attempt_list),
    recovered: Number(raw.recovered),
    queue_ms: numberOrNull(raw.queue_ms),
    first_token_ms: numberOrNull(raw.first_token_ms),
    input_tokens: Number(raw.input_tokens),
    cache_read_tokens: Number(raw.cache_read_tokens),
    cache_write_tokens: Number(raw.cache_write_tokens),
    output_tokens: Number(raw.output_tokens),
    reasoning_tokens: Number(raw.reasoning_tokens),
    estimated: Number(raw.estimated),
    saved_tokens: Number(raw.saved_tokens),
    cost_nano: numberOrNull(raw.cost_nano),
    extra_cost_nano: numberOrNull(raw.extra_cost_nano),
    saved_nano: numberOrNull(raw.saved_nano),
    batch: textOrNull(raw.batch),
  }
}

type Value = RawRow[string] | undefined

function text(value: Value): string {
  return String(value ?? '')
}

function textOrNull(value: Value): string | null {
  return value == null ? null : String(value)
}

function numberOrNull(value: Value): number | null {
  return value == null ? null : Number(value)
}
