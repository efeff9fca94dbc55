import type { Code } from './errors.ts'
import type { FleetEvent } from './events.ts'
import type { RequestRecord } from './record.ts'
import type { TargetId } from './servers.ts'
import type { Health } from './states.ts'

/** Something that happened and that somebody may want to count, log or pass on. */
export type Fact =
  | { readonly type: 'request-started'; readonly record: RequestRecord }
  | { readonly type: 'request-settled'; readonly record: RequestRecord }
  | { readonly type: 'stream-opened' }
  | { readonly type: 'stream-closed' }
  | { readonly type: 'fallback-taken'; readonly from: string; readonly to: string; readonly reason: string }
  | { readonly type: 'stream-recovered'; readonly how: 'restart' | 'prefill' }
  /** A call had a second attempt beside its first one; whether that one was quicker. */
  | { readonly type: 'hedged'; readonly won: boolean }
  | { readonly type: 'limit-hit'; readonly scope: string }
  | { readonly type: 'answer-replayed' }
  /** A server has loaded a model for a call, which it did not have in memory. */
  | { readonly type: 'model-loaded'; readonly server: string; readonly model: string }
  | {
      readonly type: 'health-changed'
      /** Whether another worker has probed it, and has told of it. */
      readonly heard?: boolean
      readonly server: string
      readonly from: Health
      readonly to: Health
      readonly reason: string | null
    }
  | {
      readonly type: 'breaker-opened'
      readonly server: string
      readonly model: string
      readonly reason: Code
      readonly ms: number
    }
  /** A target limits its callers, and is left alone for so many milliseconds. */
  | { readonly type: 'target-limited'; readonly target: TargetId; readonly ms: number }
  | { readonly type: 'breaker-closed'; readonly server: string; readonly model: string }
  | { readonly type: 'credential-refused'; readonly server: string; readonly model: string; readonly left: number }
  /** `heard`: another process of this gateway says so too, and is the one to write it down. */
  | { readonly type: 'config-reloaded'; readonly ok: boolean; readonly message: string; readonly heard?: boolean }
  | { readonly type: 'fleet-changed'; readonly message: string }
  | { readonly type: 'server-registered'; readonly server: string; readonly address: string; readonly by: string }
  | {
      readonly type: 'server-departed'
      readonly server: string
      readonly reason: 'silent' | 'removed'
      readonly by: string | null
    }
  | { readonly type: 'server-drained'; readonly server: string; readonly by: string }
  | { readonly type: 'server-recovered'; readonly server: string; readonly by: string }
  /** An event was kept; of all processes that saw what happened this one tells the others of it. */
  | { readonly type: 'event-kept'; readonly event: FleetEvent }
  | { readonly type: 'event-delivered'; readonly result: 'ok' | 'retried' | 'lost' }
  | { readonly type: 'webhook-received'; readonly webhook: string; readonly ok: boolean }
  | {
      readonly type: 'database-called'
      readonly operation: 'read' | 'write'
      readonly ok: boolean
      readonly ms: number
    }
  /** Rows could not be written to the database and wait. */
  | { readonly type: 'rows-delayed'; readonly reason: string; readonly waiting: number }
  | { readonly type: 'rows-taken-again' }
  /** This process ends with rows that neither the database nor the disk took. */
  | { readonly type: 'rows-lost'; readonly count: number }
  | {
      readonly type: 'dependency-changed'
      readonly dependency: 'database' | 'redis'
      readonly available: boolean
      readonly reason: string | null
    }
  | {
      readonly type: 'administered'
      readonly action:
        | 'key-created'
        | 'key-updated'
        | 'key-rotated'
        | 'key-revoked'
        | 'cache-cleared'
        | 'reload-requested'
      readonly subject: string
      readonly tenant: string
      /** The id of the key that did it. */
      readonly by: string
      /** What was so `before` and what is so `after`, where something that is kept was changed. */
      readonly detail?: object
    }

/** Where the parts report what happened; they never report to each other. */
export interface Journal {
  note(fact: Fact): void
}

/** Hands each fact to every subscriber, in their order. */
export function createJournal(subscribers: readonly ((fact: Fact) => void)[]): Journal {
  return {
    note(fact) {
      for (const subscriber of subscribers) subscriber(fact)
    },
  }
}
