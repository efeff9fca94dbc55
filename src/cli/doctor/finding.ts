/** The result of a check. */
export type Status = 'ok' | 'warning' | 'failed' | 'skipped'

/** What one check has found. */
export interface Finding {
  /** The kind of check: `redis`, `port`, `stream`. */
  readonly check: string
  /** What was checked, where there are several: the id of a server, or the id of a server, a slash and a model. */
  readonly subject: string | null
  readonly status: Status
  readonly detail: string
  /** What the operator should do; `null` where there is nothing to do. */
  readonly remedy: string | null
}

/** Creates the functions that make the findings of one check on one subject. */
export function about(check: string, subject: string | null = null) {
  const finding = (status: Status, detail: string, remedy: string | null): Finding => ({
    check,
    subject,
    status,
    detail,
    remedy,
  })
  return {
    ok: (detail: string) => finding('ok', detail, null),
    skipped: (detail: string) => finding('skipped', detail, null),
    warning: (detail: string, remedy: string) => finding('warning', detail, remedy),
    failed: (detail: string, remedy: string) => finding('failed', detail, remedy),
  }
}

/** The message of an error. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : ''
  return thrown.message.includes(code) ? thrown.message : `${code} ${thrown.message}`
}
