import type { CacheStore } from '#core/cache.ts'
import type { Clock } from '#core/clock.ts'
import type { GatewayError } from '#core/errors.ts'
import type { FleetEvent } from '#core/events.ts'
import type { History } from '#core/history.ts'
import type { IdempotencyStore } from '#core/idempotency.ts'
import type { Journal } from '#core/journal.ts'
import type { Limiter } from '#core/limiter.ts'
import type { Priority } from '#core/priority.ts'
import type { FleetView } from '#gateway/management/fleet.ts'
import type { HealthParts } from '#gateway/management/health.ts'
import type { KeyManagement } from '#gateway/management/keys.ts'
import type { Orchestration } from '#gateway/management/orchestrate.ts'
import type { Receiver } from '#gateway/management/receive.ts'
import type { ReportManagement } from '#gateway/management/reports.ts'
import type { Answer, ModelRequest } from '#gateway/pipeline.ts'
import type { Rehearsal } from '#gateway/rehearsal.ts'
import type { Active } from './active.ts'
import type { Room } from './body.ts'
import type { SupportMatrix } from './docs/support.ts'
import type { Edge } from './edge.ts'

/** What the process knows of itself. */
export interface ProcessView {
  /** Epoch milliseconds. */
  readonly startedAt: number
  /** How long that is ago, however the wall clock was set since. */
  uptimeMs(): number
  workers(): number
}

/** Everything that the routes call; put together once, by the composition root. */
export interface Services {
  readonly clock: Clock
  readonly journal: Journal
  readonly limiter: Limiter
  readonly idempotency: IdempotencyStore
  readonly cache: Pick<CacheStore, 'clear' | 'size'>
  readonly history: Pick<History, 'find'>
  readonly newId: (time: number) => string
  /** The edge's settings now; a request takes one and keeps it. */
  readonly edge: () => Edge
  /** Whether the process has room for a new call, for bodies, and for requests at all. */
  readonly load: {
    refusal(priority: Priority): GatewayError | null
    readonly bodies: Room
    exhausted(): boolean
  }
  readonly run: (request: ModelRequest) => Promise<Answer>
  /** Names of the callers' headers that are passed on to model servers. */
  readonly passedHeaders: readonly string[]
  readonly fleet: () => FleetView
  readonly metrics: { render(): Promise<string>; readonly contentType: string }
  readonly process: ProcessView
  readonly health: {
    /** How the process and what it depends on are now. */
    parts(): Promise<HealthParts>
    /** The share of its attempts that a server failed of late, 0 to 1; `null` of too few. */
    errorRate(server: string): number | null
  }
  readonly keys: KeyManagement
  readonly rehearsal: Rehearsal
  /** What a tenant's requests came to. */
  readonly stats: (tenant: string) => object
  readonly orchestration: Orchestration
  readonly receive: Receiver
  /** What happens to the fleet. */
  readonly events: {
    follow(listener: (event: FleetEvent) => void): () => void
    since(after: string, limit: number): Promise<readonly FleetEvent[]>
  }
  /** The configuration as it holds now. */
  readonly settings: {
    /** Without what it says of other tenants than this one. */
    show(tenant: string): readonly object[]
    /** Reads it again.
     *
     * @throws GatewayError `invalid_request` where it is wrong, `conflict` where there is nothing to read. */
    reload(): Promise<{ readonly warnings: readonly string[]; readonly restart: readonly string[] }>
  }
  /** What was written down: usage and audit. */
  readonly reports: ReportManagement
  readonly configSchema: () => Promise<unknown>
  /** What the dialects declare of themselves. */
  readonly support: () => SupportMatrix
  /** False once the gateway has begun to stop: it still answers, but is no longer ready for more. */
  readonly serving: () => boolean
  /** False once clients are to connect anew for their next requests. */
  readonly staying: () => boolean
  readonly active: Active
  /** The paths at which operators also want the health page and the metrics. */
  readonly extraPaths: { readonly health: string; readonly metrics: string }
}
