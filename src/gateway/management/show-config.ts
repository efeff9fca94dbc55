import type { Config } from '#config/schema.ts'

/** One value of the configuration as people may see it. */
export interface ConfigEntry {
  readonly key: string
  readonly value: unknown
  /** A place in a file, a variable or a flag; `default` where nothing was written. */
  readonly origin: string
}

export interface ShowConfigOptions {
  readonly config: Config
  /** Where each value was written, by its path; empty where the configuration was written in code. */
  readonly origins: ReadonlyMap<string, string>
  /** Every secret that the configuration holds. */
  readonly secrets: readonly string[]
  /** Takes secrets out of a text. */
  readonly redact: (text: string) => string
}

const HIDDEN = '[redacted]'

/** Lists every value of a configuration, by its path, without its secrets. */
export function showConfig({ config, origins, secrets, redact }: ShowConfigOptions): readonly ConfigEntry[] {
  const hidden = new Set(secrets)
  const show = (value: unknown) => {
    if (typeof value !== 'string') return value
    return hidden.has(value) ? HIDDEN : redact(value)
  }
  return leavesOf(config, '').map(({ key, value }) => ({ key, value: show(value), origin: originOf(key, origins) }))
}

interface Leaf {
  readonly key: string
  readonly value: unknown
}

function leavesOf(value: unknown, key: string): readonly Leaf[] {
  if (typeof value !== 'object' || value === null) return [{ key, value }]
  const entries = Object.entries(value)
  if (entries.length === 0) return [{ key, value: Array.isArray(value) ? [] : {} }]
  return entries.flatMap(([name, inner]) => leavesOf(inner, key === '' ? name : `${key}.${name}`))
}

/** Some values are written shorter than they are kept: one key in the place of a list, an address in that of an
 * object. */
function originOf(key: string, origins: ReadonlyMap<string, string>): string {
  const parent = key.slice(0, Math.max(0, key.lastIndexOf('.')))
  return (
    origins.get(key) ?? origins.get(key.replace(/\.api_keys\.\d+$/, '.api_key')) ?? origins.get(parent) ?? 'default'
  )
}
