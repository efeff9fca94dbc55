import { PROVIDERS } from '#providers/index.ts'

/** The kind of servers that call no model and are only watched. */
export const WATCHED_ONLY = 'service'

/** Where a server of a kind lives; `null` for one that needs an address and has none. */
export function addressOf(kind: string, baseUrl: string | null): string | null {
  if (kind === WATCHED_ONLY) return baseUrl
  const provider = PROVIDERS.get(kind)
  if (provider === undefined) return null
  const url = baseUrl ?? provider.defaultBaseUrl
  return url === null ? null : provider.normalizeBaseUrl(url)
}
