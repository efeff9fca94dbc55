/** How bad it is. */
export type Status = 'ok' | 'warning' | 'failed' | 'skipped'

/** One thing that was looked at. */
export interface Finding {
  /** What kind of thing: `redis`, `port`, `stream`. */
  readonly check: string
  /** Which one, where there are several: the id of a server, with the model behind a slash. */
  readonly subject: string | null
  readonly status: Status
  readonly detail: string
  /** What to do about it; null where there is nothing to do. */
  readonly remedy: string | null
}

/** A kind of check about one thing: makes its findings. */
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

/** What an error says of itself. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown)
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : ''
  return thrown.message.includes(code) ? thrown.message : `${code} ${thrown.message}`
}
