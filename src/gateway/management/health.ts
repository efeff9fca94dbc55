import type { Clock } from '#core/clock.ts'
import type { FleetStatus } from './fleet.ts'

/** A warning, and what is critical: from there on something is degraded, or unhealthy. */
export type Threshold = readonly [warning: number, critical: number]

/** `response_time` in milliseconds, the others from 0 to 1. */
export interface Thresholds {
  readonly response_time: Threshold
  readonly error_rate: Threshold
  readonly memory: Threshold
}

/** How something is that the gateway needs besides model servers. */
export interface DependencyHealth {
  readonly status: FleetStatus | 'not_configured'
  readonly available: boolean
  /** How long it took to answer just now; `null` when it did not. */
  readonly latency_ms: number | null
}

/** How the process and what it depends on are, and by which thresholds. */
export interface HealthParts {
  readonly dependencies: Readonly<Record<string, DependencyHealth>>
  readonly memory: {
    readonly status: FleetStatus
    readonly rss_bytes: number
    readonly heap_used_bytes: number
    readonly limit_bytes: number
    readonly used: number
  }
  readonly cpu: {
    readonly user_seconds: number
    readonly system_seconds: number
    readonly cores: number
    readonly used: number
  }
  readonly errors: { readonly status: FleetStatus; readonly rate: number | null; readonly requests: number }
  readonly thresholds: Thresholds
}

export interface HealthDeps {
  readonly clock: Pick<Clock, 'now'>
  readonly thresholds: () => Thresholds
  /** Asks each dependency something small; `null` where there is none. Bounded in time by itself.
   *
   * @throws when it does not answer. */
  readonly checks: Readonly<Record<string, (() => Promise<unknown>) | null>>
  /** Bytes; `used` is the share of the limit. */
  readonly memory: () => Omit<HealthParts['memory'], 'status'>
  readonly cpu: () => HealthParts['cpu']
  /** Model calls of about the last minute, and those that the gateway or its servers failed. */
  readonly calls: () => { readonly all: number; readonly failed: number }
}

/** Of fewer calls a rate says nothing. */
const CALLS_MIN = 20
const ORDER = ['healthy', 'degraded', 'unhealthy'] as const

/** Creates the look at all that a gateway is made of. */
export function createHealth(deps: HealthDeps): () => Promise<HealthParts> {
  async function check(ask: (() => Promise<unknown>) | null, threshold: Threshold): Promise<DependencyHealth> {
    if (ask === null) return { status: 'not_configured', available: false, latency_ms: null }
    const startedAt = deps.clock.now()
    try {
      await ask()
    } catch {
      return { status: 'unhealthy', available: false, latency_ms: null }
    }
    const latency = deps.clock.now() - startedAt
    return { status: levelOf(latency, threshold), available: true, latency_ms: Math.round(latency * 10) / 10 }
  }

  return async () => {
    const thresholds = deps.thresholds()
    const dependencies = Object.entries(deps.checks).map(
      async ([name, ask]) => [name, await check(ask, thresholds.response_time)] as const,
    )
    const memory = deps.memory()
    const { all, failed } = deps.calls()
    const rate = rateOf(failed, all)
    return {
      dependencies: Object.fromEntries(await Promise.all(dependencies)),
      memory: { status: levelOf(memory.used, thresholds.memory), ...memory },
      cpu: deps.cpu(),
      errors: { status: levelOf(rate ?? 0, thresholds.error_rate), rate, requests: all },
      thresholds,
    }
  }
}

/** The share that failed; `null` of too few. */
export function rateOf(failed: number, all: number): number | null {
  return all < CALLS_MIN ? null : Math.round((failed / all) * 1e4) / 1e4
}

/** What a value means. */
export function levelOf(value: number, [warning, critical]: Threshold): FleetStatus {
  if (value > critical) return 'unhealthy'
  return value > warning ? 'degraded' : 'healthy'
}

/** The worst of them. */
export function worstOf(levels: readonly FleetStatus[]): FleetStatus {
  return ORDER[Math.max(0, ...levels.map(level => ORDER.indexOf(level)))] ?? 'healthy'
}

/** How the whole is: memory and errors count as they are; without a database or Redis calls still go on. */
export function overallOf(fleet: FleetStatus, { dependencies, memory, errors }: HealthParts): FleetStatus {
  const away = Object.values(dependencies).some(({ status }) => status === 'degraded' || status === 'unhealthy')
  return worstOf([fleet, memory.status, errors.status, away ? 'degraded' : 'healthy'])
}
