import type { Caller } from '#core/caller.ts'
import { type Priority, USUAL_PRIORITY, upTo } from '#core/priority.ts'

/** What the headers of a request ask of the routing; they can only tighten the configuration. */
export interface Wishes {
  readonly server: string | null
  readonly strategy: string | null
  readonly timeoutMs: number | null
  /** How long the caller of a stream waits for the first content, and for each piece after it. */
  readonly firstTokenMs: number | null
  readonly idleMs: number | null
  readonly maxAttempts: number | null
  readonly priority: Priority | null
}

/** Whether a caller waits for a shorter time than is configured. */
export function hasClock({ timeoutMs, firstTokenMs, idleMs }: Wishes): boolean {
  return (timeoutMs ?? firstTokenMs ?? idleMs) !== null
}

/** The priority of a call in the queue: as requested, but no higher than the caller may ask for. */
export function priorityOf(caller: Caller, wishes: Pick<Wishes, 'priority'>): Priority {
  return upTo(caller.maxPriority ?? USUAL_PRIORITY, wishes.priority ?? USUAL_PRIORITY)
}
