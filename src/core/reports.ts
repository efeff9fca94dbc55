import type { AuditKind, AuditRow } from './ledger.ts'

/** What usage may be summed by. */
export const USAGE_GROUPS = ['day', 'key', 'tenant', 'model', 'server', 'user', 'session'] as const
export type UsageGroup = (typeof USAGE_GROUPS)[number]

/** Which usage is asked for. */
export interface UsageQuery {
  /** `null` = of all tenants. */
  readonly tenant: string | null
  readonly by: readonly UsageGroup[]
  /** Days, as `2027-01-31`; the last one is a part of it. */
  readonly from: string
  readonly to: string
  readonly key: string | null
  readonly model: string | null
  readonly server: string | null
  /** The groups of the sum behind which the page begins. */
  readonly after: UsageSum['groups'] | null
  readonly limit: number
}

/** One sum. Money is in billionths of a US dollar. */
export interface UsageSum {
  readonly groups: readonly (string | null)[]
  readonly requests: number
  readonly input: number
  readonly cacheRead: number
  readonly cacheWrite: number
  readonly output: number
  readonly reasoning: number
  readonly saved: number
  readonly costNano: number
  readonly extraNano: number
  readonly savedNano: number
  /** Requests that were estimated, that died with their process, and whose price is not known. */
  readonly estimated: number
  readonly lost: number
  readonly unpriced: number
}

/** What callers name beside their key: the end user of a request, or the conversation that it belongs to. */
export type Naming = 'users' | 'sessions'

/** Which of them are asked for. */
export interface NamedQuery {
  readonly of: Naming
  readonly tenant: string | null
  readonly key: string | null
  /** The one behind whom the page begins. */
  readonly after: Pick<Named, 'lastSeen' | 'tenant' | 'key' | 'id'> | null
  readonly limit: number
}

/** A user or a session of one key. Times are epoch milliseconds. */
export interface Named {
  readonly tenant: string
  readonly key: string
  readonly id: string
  readonly firstSeen: number
  readonly lastSeen: number
  readonly requests: number
  readonly tokens: number
}

/** Which rows of the audit log are asked for. */
export interface AuditQuery {
  readonly tenant: string | null
  readonly kind: AuditKind | null
  readonly actor: string | null
  /** Epoch milliseconds; the end is no part of it. */
  readonly from: number
  readonly to: number
  /** The row behind which the page begins. */
  readonly after: { readonly at: number; readonly id: string } | null
  readonly limit: number
}

/** Tells what was written down. */
export interface Reports {
  /** Sums in the order of their groups; what is not there comes first.
   *
   * @throws Error when the store is away. */
  usage(query: UsageQuery): Promise<readonly UsageSum[]>
  /** Users or sessions, those that were seen last first.
   *
   * @throws Error when the store is away. */
  named(query: NamedQuery): Promise<readonly Named[]>
  /** Rows, the latest first.
   *
   * @throws Error when the store is away. */
  audit(query: AuditQuery): Promise<readonly AuditRow[]>
}
