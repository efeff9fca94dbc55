import type { LoadMetrics, ServerSettings } from '#wire/orchestration.ts'

/** What was said of a server at run time; times are epoch milliseconds. */
export interface ServerRecord {
  readonly id: string
  readonly kind: string
  /** Scheme, host and port, without a slash at the end. */
  readonly baseUrl: string
  /** `declared`: the configuration knows the server, and only its status is kept. */
  readonly origin: 'registered' | 'declared'
  readonly status: 'active' | 'draining'
  readonly settings: ServerSettings
  /** As it last reported; `null` when it never did. */
  readonly load: LoadMetrics | null
  /** The id of the key that registered or drained it. */
  readonly by: string
  readonly registeredAt: number
  readonly heartbeatAt: number
}

/** A change of the registry. */
export type ServerChange =
  | {
      readonly kind: 'register'
      readonly server: Pick<ServerRecord, 'id' | 'kind' | 'baseUrl' | 'settings' | 'by'>
      readonly at: number
    }
  | { readonly kind: 'beat'; readonly id: string; readonly at: number; readonly load: LoadMetrics | null }
  /** Removes it; with `silentSince` only if its last sign of life is not younger. */
  | { readonly kind: 'remove'; readonly id: string; readonly at: number; readonly silentSince?: number }
  /** Drains a server, or lets it take requests again. */
  | {
      readonly kind: 'mark'
      readonly id: string
      readonly status: ServerRecord['status']
      readonly at: number
      readonly by: string
    }

/** Keeps what was said of servers at run time; shared by all processes.
 *
 * Each may fail with any error: then the store is away. */
export interface ServerStore {
  list(): Promise<readonly ServerRecord[]>
  /** Of all who make the same change at once, one is told that it happened.
   *
   * @returns The record before and after; `null` when there was nothing to change. */
  change(change: ServerChange): Promise<ServerChanged | null>
}

/** What a change did; `null` = there is no such record. */
export interface ServerChanged {
  readonly before: ServerRecord | null
  readonly after: ServerRecord | null
}

const NOTHING_SAID: ServerSettings = {
  role: null,
  capabilities: [],
  services: [],
  models: null,
  weight: 1,
  max_concurrent: 0,
  credential: null,
  health_endpoint: null,
  models_endpoint: null,
  metrics_endpoint: null,
}

/** What a change makes of a record. */
export function changeServer(before: ServerRecord | null, change: ServerChange): ServerChanged | null {
  switch (change.kind) {
    case 'register': {
      const { at, server } = change
      const known = before?.origin === 'registered' ? before : null
      const kept = { status: known?.status ?? ('active' as const), load: known?.load ?? null }
      const after = { ...server, ...kept, origin: 'registered' as const, heartbeatAt: at }
      return { before: known, after: { ...after, registeredAt: known?.registeredAt ?? at } }
    }
    case 'beat':
      if (before?.origin !== 'registered') return null
      return { before, after: { ...before, heartbeatAt: change.at, load: change.load ?? before.load } }
    case 'remove':
      if (before?.origin !== 'registered') return null
      if (change.silentSince !== undefined && before.heartbeatAt > change.silentSince) return null
      return { before, after: null }
    case 'mark':
      return mark(before, change)
  }
}

function mark(before: ServerRecord | null, change: ServerChange & { readonly kind: 'mark' }): ServerChanged | null {
  const { id, status, at, by } = change
  if ((before?.status ?? 'active') === status) return null
  if (before?.origin === 'registered') return { before, after: { ...before, status } }
  // Of a server that the configuration declares nothing else is kept, so that an active one needs no record.
  if (status === 'active') return { before, after: null }
  const declared = { kind: '', baseUrl: '', origin: 'declared' as const, settings: NOTHING_SAID, load: null }
  return { before, after: { id, status, by, ...declared, registeredAt: at, heartbeatAt: at } }
}
