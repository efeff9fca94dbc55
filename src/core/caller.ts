import type { ROLES } from '#wire/keys.ts'
import type { LimitSet } from './limiter.ts'
import type { Budget } from './money.ts'
import type { Priority } from './priority.ts'

/** What a caller may do. `anonymous` is a caller without a credential where none is needed. */
export type Role = 'anonymous' | (typeof ROLES)[number]

/** Whom everything belongs to that names no tenant; its administrators look after the whole installation. */
export const DEFAULT_TENANT = 'default'

/** What the administrators' keys of the configuration are called, by their place in it. */
export function adminName(index: number): string {
  return index === 0 ? 'admin' : `admin-${index + 1}`
}

const RANK: Readonly<Record<Role, number>> = { anonymous: 0, caller: 1, viewer: 2, operator: 3, admin: 4 }

/** Who sends a request, resolved once from its credential. */
export interface Caller {
  /** A name that may stand in logs and metrics; never the key. */
  readonly id: string
  readonly name: string
  readonly tenant: string
  readonly role: Role
  /** Public names it may call; `null` = all. */
  readonly models: ReadonlySet<string> | null
  /** Its own limits, each in place of what holds for every client; `null` = none of its own. */
  readonly limits: LimitSet | null
  /** What it may spend; no bound when absent. */
  readonly budget?: Budget | null
  /** The best place in a queue that it may ask for; the usual one when absent. */
  readonly maxPriority?: Priority
  /** Whether its answers may be stored and shared; they may when absent. */
  readonly cache?: boolean
  /** Epoch milliseconds; `null` = never. */
  readonly expiresAt: number | null
  /** Whether its key is one that was made at run time, and so may be revoked at any time. */
  readonly stored?: boolean
  /** Whether its requests must be signed. */
  readonly signs?: boolean
}

/** Whether a role includes another one's rights. */
export function hasRole(role: Role, needed: Role): boolean {
  return RANK[role] >= RANK[needed]
}

/** Whether a caller looks after the whole installation: then the other tenants are its own to see and to change, too. */
export function isInstallationAdmin({ role, tenant }: Pick<Caller, 'role' | 'tenant'>): boolean {
  return tenant === DEFAULT_TENANT && hasRole(role, 'admin')
}

/** Whether a caller may use a model, by its public name. */
export function mayUse(caller: Caller, model: string): boolean {
  return caller.models === null || caller.models.has(model)
}
