import { ERRORS } from '#core/errors.ts'
import type { Fact } from '#core/journal.ts'
import type { RequestRecord } from '#core/record.ts'
import type { AuditEntry } from './chain.ts'

const TEXT_MAX = 2048
const AUTHENTICATION: ReadonlySet<string> = new Set(['invalid_api_key', 'missing_api_key', 'invalid_signature'])
const ACCESS: ReadonlySet<string> = new Set(['permission_denied', 'model_not_allowed', 'client_not_allowed'])

/** An audit entry before defaults are filled in: absent fields become `null`, an absent tenant the default one. */
export type AuditNote = Partial<Omit<AuditEntry, 'detail'>> &
  Pick<AuditEntry, 'kind' | 'action' | 'outcome'> & { readonly detail?: object }

/** Makes the audit entry of an event of the journal that is no request; `null` for events that are not audited. */
export function noteOfFact(fact: Fact): AuditNote | null {
  const action = fact.type
  switch (fact.type) {
    case 'administered': {
      const { tenant, by: actor, subject, detail } = fact
      return { kind: 'administration', action: fact.action, outcome: 'ok', tenant, actor, subject, detail }
    }
    case 'config-reloaded': {
      if (fact.heard === true) return null
      const detail = { message: fact.message.slice(0, TEXT_MAX) }
      return { kind: 'administration', action, outcome: fact.ok ? 'ok' : 'failed', detail }
    }
    case 'server-registered': {
      const { server: subject, by: actor, address } = fact
      return { kind: 'administration', action, outcome: 'ok', actor, subject, detail: { address } }
    }
    case 'server-drained':
    case 'server-recovered':
      return { kind: 'administration', action, outcome: 'ok', actor: fact.by, subject: fact.server }
    case 'server-departed': {
      const { server: subject, by: actor, reason } = fact
      return { kind: actor === null ? 'health' : 'administration', action, outcome: reason, actor, subject }
    }
    case 'webhook-received':
      // A refused one is recorded with its request.
      return fact.ok ? { kind: 'administration', action, outcome: 'ok', subject: fact.webhook } : null
    case 'health-changed': {
      // The process that saw the change records it.
      if (fact.heard === true) return null
      const { server: subject, from, to: outcome, reason } = fact
      return { kind: 'health', action, outcome, subject, detail: { from, reason } }
    }
    case 'breaker-opened': {
      const { reason, ms } = fact
      return { kind: 'health', action, outcome: 'open', subject: targetOf(fact), detail: { reason, ms } }
    }
    case 'breaker-closed':
      return { kind: 'health', action, outcome: 'closed', subject: targetOf(fact) }
    case 'credential-refused':
      return { kind: 'health', action, outcome: 'refused', subject: targetOf(fact), detail: { left: fact.left } }
    case 'dependency-changed': {
      const { available, dependency: subject, reason } = fact
      return { kind: 'health', action, outcome: available ? 'available' : 'away', subject, detail: { reason } }
    }
    default:
      return null
  }
}

/** Makes the audit entry of a request that was refused or failed. `null` for one that succeeded, and for a model call
 * that failed by the caller's fault. */
export function noteOfRefusal(record: RequestRecord): AuditNote | null {
  const { code } = record
  if (code === null) return null
  const { status, fault } = ERRORS[code]
  if (AUTHENTICATION.has(code)) return { kind: 'authentication', action: 'request', outcome: 'refused' }
  if (ACCESS.has(code)) return { kind: 'authentication', action: 'access', outcome: 'refused' }
  if (status === 429 && fault === 'policy') return { kind: 'limit', action: 'request', outcome: 'refused' }
  if (fault !== 'upstream' && fault !== 'gateway') {
    return record.purpose === 'administration'
      ? { kind: 'administration', action: 'request', outcome: 'refused' }
      : null
  }
  const { model, server, outcome } = record
  return { kind: 'error', action: 'request', outcome, detail: { model, server, story: causeText(record) } }
}

/** Whether a request was authenticated with a valid key or token. */
export function isAuthenticated({ caller, code }: RequestRecord): boolean {
  return caller !== null && caller !== 'anonymous' && (code === null || !AUTHENTICATION.has(code))
}

function targetOf({ server, model }: { readonly server: string; readonly model: string }): string {
  return `${server}/${model}`
}

function causeText({ error }: RequestRecord): string | null {
  if (error === null) return null
  const { cause } = error
  const suffix = cause === undefined ? '' : `: ${cause instanceof Error ? cause.message : String(cause)}`
  return `${error.message}${suffix}`.slice(0, TEXT_MAX)
}
