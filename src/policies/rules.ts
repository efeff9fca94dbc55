import type { Code, GatewayError } from '#core/errors.ts'

/** What may follow a failed attempt. */
interface Rule {
  /** Whether the same target may be retried after a wait. Not if it was silent, because the next attempt would take as
   * long, and not if a person has to fix it. Other targets may be tried whenever the error is retryable. */
  readonly again: boolean
  /** Whether the error counts against the breaker of the target. */
  readonly breaks: boolean
  /** Whether another credential may succeed at once. */
  readonly rotates: boolean
}

const NOTHING: Rule = { again: false, breaks: false, rotates: false }

const RULES: Partial<Record<Code, Rule>> = {
  upstream_error: { again: true, breaks: true, rotates: false },
  upstream_invalid_response: { again: true, breaks: true, rotates: false },
  upstream_tls_error: { again: false, breaks: true, rotates: false },
  upstream_timeout: { again: false, breaks: true, rotates: false },
  upstream_idle_timeout: { again: false, breaks: true, rotates: false },
  stream_interrupted: { again: false, breaks: true, rotates: false },
  provider_rate_limited: { again: true, breaks: false, rotates: true },
  insufficient_quota: { again: false, breaks: false, rotates: true },
  upstream_auth_failed: { again: false, breaks: false, rotates: true },
}

/** What may follow an error of this code. */
export function ruleFor(code: Code): Rule {
  return RULES[code] ?? NOTHING
}

/** Whether the server says that it limits its callers. This is no failure, but a reason to send it nothing for a while.
 */
export function isLimited(error: GatewayError): boolean {
  return error.code === 'provider_rate_limited' || error.code === 'insufficient_quota'
}
