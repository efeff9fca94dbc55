import type { z } from 'zod'
import { boolean, integer, number } from './schema/scalars.ts'
import { emptyMap, find, type Leaf, type MapTree, merge, place } from './tree.ts'

/** Translates the `performance` section into the keys that it stands for. Explicit keys of the same layer win.
 *
 * `rate_limit_rps` sets one limit over all callers, and none for each, unless those limits are explicit.
 *
 * @param under The layers below: their limits for each caller stay, because nothing here replaces them. */
export function withPerformance(layer: MapTree, under: MapTree = emptyMap()): MapTree {
  let meaning = emptyMap(layer.at)
  const put = (path: string, from: Leaf, value: Leaf['value'] = from.value) => {
    meaning = place(meaning, path.split('.'), { ...from, value })
  }
  const timeout = valid(layer, 'request_timeout_seconds', number({ above: 0 }))
  if (timeout) {
    put('timeouts.first_byte', timeout)
    put('timeouts.idle', timeout)
  }
  const concurrent = valid(layer, 'max_concurrent_requests', integer())
  if (concurrent) put('limits.global.concurrent_requests', concurrent)
  const enabled = valid(layer, 'rate_limiting_enabled', boolean())
  if (enabled) put('limits.enabled', enabled)
  const perSecond = valid(layer, 'rate_limit_rps', number({ above: 0 }))
  if (perSecond) {
    const global = (key: string) => find(layer, ['limits', 'global', key])
    if (!global('requests_per_minute') && !global('burst')) {
      put('limits.global.requests_per_minute', perSecond, Math.ceil(60 * Number(perSecond.value)))
      put('limits.global.burst', perSecond, Math.ceil(4 * Number(perSecond.value)))
    }
    const each = ['limits', 'per_client', 'requests_per_minute']
    if (!find(under, each)) put(each.join('.'), perSecond, 0)
  }
  const merged = merge(meaning, layer)
  return merged.kind === 'map' ? merged : layer
}

// Values that the schema refuses are passed on unchanged, so that they are reported once.
function valid(layer: MapTree, key: string, schema: z.ZodType): Leaf | null {
  const node = find(layer, ['performance', key])
  if (node?.kind !== 'leaf' || node.value == null) return null
  return schema.safeParse(node.value, { jitless: true }).success ? node : null
}
