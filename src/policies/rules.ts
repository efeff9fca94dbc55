import type { Code, GatewayError } from '#core/errors.ts'

/** What may follow a failed attempt. */
interface Rule {
  /** Whether the same target may be tried again after a wait: it is not when it was silent, because the next try would
   * take as long, nor when only people can mend it. Other targets may be tried wherever the error is retryable. */
  readonly again: boolean
  /** Whether it counts against the target's breaker. */
  readonly breaks: boolean
  /** Whether another credential may do better at once. */
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

/** Whether the server says that it limits its callers: no failure, but a reason to leave it alone for a while. */
export function isLimited(error: GatewayError): boolean {
  return error.code === 'provider_rate_limited' || error.code === 'insufficient_quota'
}
