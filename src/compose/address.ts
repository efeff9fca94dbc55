import { PROVIDERS } from '#providers/index.ts'

/** The kind of servers that are only watched and never called for a model. */
export const WATCHED_ONLY = 'service'

/** The address of a server of a kind; `null` when it needs one and has none. */
export function addressOf(kind: string, baseUrl: string | null): string | null {
  if (kind === WATCHED_ONLY) return baseUrl
  const provider = PROVIDERS.get(kind)
  if (provider === undefined) return null
  const url = baseUrl ?? provider.defaultBaseUrl
  return url === null ? null : provider.normalizeBaseUrl(url)
}
