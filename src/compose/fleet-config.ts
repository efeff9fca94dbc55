import { type Declaration, declare } from '#config/declare.ts'
import type { Config } from '#config/schema.ts'
import { PROVIDERS } from '#providers/index.ts'

/** Where a server of a kind lives; `null` for one that needs an address and has none. */
export function addressOf(kind: string, baseUrl: string | null): string | null {
  if (kind === 'service') return baseUrl
  const provider = PROVIDERS.get(kind)
  if (provider === undefined) return null
  const url = baseUrl ?? provider.defaultBaseUrl
  return url === null ? null : provider.normalizeBaseUrl(url)
}

/** Reads the fleet out of a configuration and says what of it cannot be used. */
export function composeProblems(config: Config): {
  readonly declaration: Declaration
  readonly warnings: readonly string[]
} {
  const warnings: string[] = []
  return { declaration: declare(config, addressOf), warnings }
}
