import type { Clock } from '#core/clock.ts'
import { type Replays, SIGNATURE_TOLERANCE_MS } from '#core/guards.ts'

/** The signatures that are remembered for each key. */
const REMEMBERED_MAX = 10_000

interface Memory {
  /** Signatures and their timestamps, in the order in which they came. */
  readonly seen: Map<string, number>
  /** Nothing up to this timestamp is taken any more, because it may have been forgotten. */
  floor: number
}

/** Creates a memory of signatures in this process. When a key has sent more within the tolerance than are remembered,
 * the oldest are forgotten, and with them every timestamp up to theirs: a request that comes late is refused, never one
 * taken twice. */
export function createMemoryReplays(
  clock: Pick<Clock, 'time'>,
  rememberedMax: number = REMEMBERED_MAX,
): Replays & { take(owner: string, signature: string, timestamp: number): boolean } {
  const memories = new Map<string, Memory>()
  return {
    take(owner, signature, timestamp) {
      const memory = memories.get(owner) ?? { seen: new Map<string, number>(), floor: 0 }
      memories.set(owner, memory)
      const { seen } = memory
      if (timestamp <= memory.floor || seen.has(signature)) return false
      for (const [old, at] of seen) {
        const expired = at < clock.time() - SIGNATURE_TOLERANCE_MS
        if (!expired && seen.size < rememberedMax) break
        seen.delete(old)
        memory.floor = Math.max(memory.floor, at)
      }
      if (timestamp <= memory.floor) return false
      seen.set(signature, timestamp)
      return true
    },
  }
}
