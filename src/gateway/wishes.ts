import type { Caller } from '#core/caller.ts'
import { type Priority, USUAL_PRIORITY, upTo } from '#core/priority.ts'

/** What a request's headers ask of the routing; only ever tighter than the configuration. */
export interface Wishes {
  readonly server: string | null
  readonly strategy: string | null
  readonly timeoutMs: number | null
  /** How long the caller of a stream waits for the first content, and for each piece behind it. */
  readonly firstTokenMs: number | null
  readonly idleMs: number | null
  readonly maxAttempts: number | null
  readonly priority: Priority | null
}

/** Whether a caller waits for less long than others. */
export function hasClock({ timeoutMs, firstTokenMs, idleMs }: Wishes): boolean {
  return (timeoutMs ?? firstTokenMs ?? idleMs) !== null
}

/** How soon a call gets a place: as it wishes, but no sooner than its caller may. */
export function priorityOf(caller: Caller, wishes: Pick<Wishes, 'priority'>): Priority {
  return upTo(caller.maxPriority ?? USUAL_PRIORITY, wishes.priority ?? USUAL_PRIORITY)
}
