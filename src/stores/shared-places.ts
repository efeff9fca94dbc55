import { isBounded, type Places } from '#core/places.ts'
import type { Target } from '#core/servers.ts'
import type { SharedMemory } from './shared.ts'
import type { SharedKey } from './shared-table.ts'

interface Bound {
  readonly key: SharedKey
  readonly max: number
}

/** Creates the places that the worker processes of one machine share. The bounds of a target and of its server are checked
 * under one lock. */
export function createSharedPlaces(memory: SharedMemory): Places {
  const { counts } = memory
  const known = new WeakMap<Target, readonly Bound[]>()

  function boundsOf(target: Target): readonly Bound[] {
    let bounds = known.get(target)
    if (bounds === undefined) {
      const all = [
        { key: memory.keyOf(`target:${target.id}`), max: target.maxConcurrent },
        { key: memory.keyOf(`server:${target.server.id}`), max: target.server.maxConcurrent },
      ]
      // Unbounded ones are counted too, because a reload may give them a bound while calls are in flight.
      bounds = all.map(({ key, max }) => ({ key, max: max || Infinity }))
      known.set(target, bounds)
    }
    return bounds
  }

  const hasPlace = (bounds: readonly Bound[]) => bounds.every(({ key, max }) => counts.of(key) < max)

  return {
    answersIn: 0,
    has(target) {
      if (!isBounded(target)) return true
      memory.lock()
      const has = hasPlace(boundsOf(target))
      memory.unlock()
      return has
    },
    take(target) {
      const bounds = boundsOf(target)
      memory.lock()
      try {
        if (!hasPlace(bounds)) return false
        for (const { key } of bounds) counts.add(key)
        return true
      } finally {
        memory.unlock()
      }
    },
    free(target) {
      memory.lock()
      for (const { key } of boundsOf(target)) counts.remove(key)
      memory.unlock()
    },
    waiting: memory.waiting,
  }
}
