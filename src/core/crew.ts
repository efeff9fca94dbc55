import type { CacheSelection } from './cache.ts'
import type { TargetId } from './servers.ts'
import type { Reading, ServerState } from './states.ts'

/** What probes know of a server. */
export type ProbedState = Pick<
  ServerState,
  'health' | 'failures' | 'successes' | 'probedAt' | 'seenAt' | 'latencyMs' | 'reason'
>

/** What workers of one gateway tell each other. */
export type News =
  | { readonly type: 'server-probed'; readonly server: string; readonly state: ProbedState }
  | { readonly type: 'server-read'; readonly server: string; readonly reading: Reading }
  | { readonly type: 'server-suspected'; readonly server: string }
  | { readonly type: 'target-limited'; readonly target: TargetId; readonly ms: number }
  | { readonly type: 'cache-cleared'; readonly selection: CacheSelection }
  | { readonly type: 'worker-ended'; readonly worker: string }

/** The workers of one gateway, as one of them sees them. */
export interface Crew {
  /** How many there are meant to be. */
  readonly size: number
  /** Whether this one does what is to be done once for all, such as probing. */
  leads(): boolean
  /** Tells all others. */
  tell(news: News): void
  /** Hears the others, and when it is this one that leads from now on. */
  listen(hear: (news: News | { readonly type: 'lead' }) => void): void
}

/** A gateway of one process. */
export const ALONE: Crew = { size: 1, leads: () => true, tell() {}, listen() {} }
