import type { LoadMetrics, ServerSettings } from '#wire/orchestration.ts'

/** What an alert does to a server: it is reported as degraded, or gets no new requests. */
export type AlertEffect = 'degraded' | 'draining'

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
  /** What others say of it, by the alert that says so; gone when the alert is resolved. */
  readonly alerts: Readonly<Record<string, AlertEffect>>
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
  /** Drains a server, or lets it take requests again, whatever alerts say. */
  | {
      readonly kind: 'mark'
      readonly id: string
      readonly status: ServerRecord['status']
      readonly at: number
      readonly by: string
    }
  /** An alert fires, or with `null` is resolved. */
  | {
      readonly kind: 'alert'
      readonly id: string
      readonly alert: string
      readonly effect: AlertEffect | null
      readonly at: number
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

/** The settings of a server that has said nothing of itself. */
export const NOTHING_SAID: ServerSettings = {
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
      const kept = {
        status: known?.status ?? ('active' as const),
        load: known?.load ?? null,
        alerts: known?.alerts ?? {},
      }
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
    case 'alert':
      return alert(before, change)
  }
}

/** Whether a server gets no new requests. */
export function isDraining(record: ServerRecord | null | undefined): boolean {
  return record?.status === 'draining' || Object.values(record?.alerts ?? {}).includes('draining')
}

/** Whether somebody else says that a server is not well. */
export function isDoubted(record: ServerRecord | null | undefined): boolean {
  return Object.values(record?.alerts ?? {}).includes('degraded')
}

function mark(before: ServerRecord | null, change: ServerChange & { readonly kind: 'mark' }): ServerChanged | null {
  const { id, status, at, by } = change
  const alerts = status === 'active' ? {} : (before?.alerts ?? {})
  if (
    (before?.status ?? 'active') === status &&
    Object.keys(before?.alerts ?? {}).length === Object.keys(alerts).length
  )
    return null
  return { before, after: keepIfNeeded({ ...(before ?? unsaid(id, at, by)), status, alerts }) }
}

function alert(before: ServerRecord | null, change: ServerChange & { readonly kind: 'alert' }): ServerChanged | null {
  const { id, at, alert: name, effect } = change
  if ((before?.alerts[name] ?? null) === effect) return null
  const { [name]: _, ...others } = before?.alerts ?? {}
  const alerts = effect === null ? others : { ...others, [name]: effect }
  return { before, after: keepIfNeeded({ ...(before ?? unsaid(id, at, name)), alerts }) }
}

/** Of a server that the configuration declares nothing else is kept, so that one without a mark needs no record. */
function keepIfNeeded(record: ServerRecord): ServerRecord | null {
  const plain = record.status === 'active' && Object.keys(record.alerts).length === 0
  return record.origin === 'declared' && plain ? null : record
}

function unsaid(id: string, at: number, by: string): ServerRecord {
  return {
    id,
    kind: '',
    baseUrl: '',
    origin: 'declared',
    status: 'active',
    settings: NOTHING_SAID,
    alerts: {},
    load: null,
    by,
    registeredAt: at,
    heartbeatAt: at,
  }
}
