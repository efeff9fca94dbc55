import type { Config } from '#config/schema.ts'
import { DEFAULT_TENANT } from '#core/caller.ts'
import { withoutPath } from '#lib/redact.ts'

/** One value of the configuration as people may see it. */
export interface ConfigEntry {
  readonly key: string
  readonly value: unknown
  /** A place in a file, a variable or a flag; `default` where nothing was written. */
  readonly origin: string
}

export interface ShowConfigOptions {
  readonly config: Config
  /** Who asks: what is said of other tenants is theirs, and everything is seen by the installation's own. */
  readonly tenant: string
  /** Where each value was written, by its path; empty where the configuration was written in code. */
  readonly origins: ReadonlyMap<string, string>
  /** Every secret that the configuration holds. */
  readonly secrets: readonly string[]
  /** Takes secrets out of a text. */
  readonly redact: (text: string) => string
}

const HIDDEN = '[redacted]'

/** Lists every value of a configuration, by its path, without its secrets. */
export function showConfig({ config, tenant, origins, secrets, redact }: ShowConfigOptions): readonly ConfigEntry[] {
  const hidden = new Set(secrets)
  const show = (value: unknown) => {
    if (typeof value !== 'string') return value
    return hidden.has(value) ? HIDDEN : redact(value)
  }
  return leavesOf(seenBy(tenant, withoutPaths(config)), '').map(({ key, value }) => ({
    key,
    value: show(value),
    origin: originOf(key, origins),
  }))
}

/** The configuration with the addresses that events go to as people may see them. */
function withoutPaths(config: Config): Config {
  const deliver = config.webhooks.deliver.map(each => ({ ...each, url: withoutPath(each.url) }))
  return { ...config, webhooks: { ...config.webhooks, deliver } }
}

/** The configuration without the keys, limits and budgets of other tenants; what is left keeps its path. */
function seenBy(tenant: string, config: Config): unknown {
  if (tenant === DEFAULT_TENANT) return config
  const { auth, limits, budgets } = config
  const isOwn = (name: string) => name === tenant || name === '*'
  return {
    ...config,
    auth: { ...auth, keys: only(auth.keys, (_, key) => (key.tenant ?? DEFAULT_TENANT) === tenant) },
    limits: { ...limits, per_tenant: only(limits.per_tenant, isOwn) },
    budgets: { ...budgets, per_tenant: only(budgets.per_tenant, isOwn) },
  }
}

function only<T>(all: Readonly<Record<string, T>> | readonly T[], keeps: (name: string, value: T) => boolean) {
  return Object.fromEntries(Object.entries(all).filter(([name, value]) => keeps(name, value)))
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
