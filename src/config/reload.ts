import { isDeepStrictEqual } from 'node:util'
import { isObject } from '#lib/json.ts'
import type { Config } from './schema.ts'

/** The keys that take effect only when the process starts: a whole section or a single key. */
export const settledAtStart = [
  'service.host',
  'service.port',
  'service.workers',
  'service.worker_max_age',
  'service.worker_max_requests',
  'service.data_dir',
  'service.keep_alive',
  'service.drain_delay',
  'service.drain_timeout',
  'cache.max_memory',
  'database',
  'redis',
  'vectors',
  'monitoring.prometheus_port',
  'monitoring.metrics_endpoint',
  'monitoring.health_check_endpoint',
] as const

/** Names the changed keys that take effect only at the next start. */
export function needsRestart(before: Config, after: Config): string[] {
  return [
    ...settledAtStart.flatMap(path => changedUnder(path, valueAt(before, path), valueAt(after, path))),
    ...(isSwitched(before, after) ? ['service.tls'] : []),
  ]
}

/** Makes the configuration that is in effect after a reload: the new one, with the old values of the keys that take effect
 * only at a start. */
export function untilRestart(started: Config, next: Config): Config {
  const paths = isSwitched(started, next) ? [...settledAtStart, 'service.tls'] : settledAtStart
  return paths.reduce((config, path) => withValue(config, path, valueAt(started, path)), next)
}

/** New certificates take effect at a reload; switching between http and https does not, because one port serves either. */
function isSwitched(before: Config, after: Config): boolean {
  return (before.service.tls === null) !== (after.service.tls === null)
}

function withValue(config: Config, path: string, value: unknown): Config {
  const [section = '', key] = path.split('.')
  const before = valueAt(config, section)
  return { ...config, [section]: key !== undefined && isObject(before) ? { ...before, [key]: value } : value }
}

function changedUnder(path: string, before: unknown, after: unknown): string[] {
  if (isDeepStrictEqual(before, after)) return []
  if (path.includes('.') || !isObject(before) || !isObject(after)) return [path]
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return keys.filter(key => !isDeepStrictEqual(before[key], after[key])).map(key => `${path}.${key}`)
}

function valueAt(config: Config, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), config)
}
