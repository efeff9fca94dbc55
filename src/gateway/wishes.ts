import type { Caller } from '#core/caller.ts'
import { type Priority, USUAL_PRIORITY, upTo } from '#core/priority.ts'

/** What a request's headers ask of the routing; only ever tighter than the configuration. */
export interface Wishes {
  readonly server: string | null
  readonly strategy: string | null
  readonly timeoutMs: number | null
  readonly maxAttempts: number | null
  readonly priority: Priority | null
}

/** How soon a call gets a place: as it wishes, but no sooner than its caller may. */
export function priorityOf(caller: Caller, wishes: Pick<Wishes, 'priority'>): Priority {
  return upTo(caller.maxPriority ?? USUAL_PRIORITY, wishes.priority ?? USUAL_PRIORITY)
}
