import type { Clock } from '#core/clock.ts'
import { type Replays, SIGNATURE_TOLERANCE_MS } from '#core/guards.ts'

/** How many signatures are remembered for each key. */
const REMEMBERED_MAX = 10_000

interface Memory {
  /** Signatures and their timestamps, in the order in which they came. */
  readonly seen: Map<string, number>
  /** Requests with a timestamp up to this one are refused, because their signatures may have been forgotten. */
  floor: number
}

/** Creates a memory of signatures in this process. When a key sends more signatures within the tolerance than are
 * remembered, the oldest are forgotten, and all requests with timestamps up to theirs are refused. So a late request
 * may be refused, but none is accepted twice. */
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
