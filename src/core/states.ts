import type { Target, TargetId } from './servers.ts'

export type Health = 'unknown' | 'healthy' | 'degraded' | 'unhealthy'

/** What the probes know of a server; lives in one object that outlives snapshots. */
export interface ServerState {
  readonly id: string
  health: Health
  /** Probes in a row. */
  failures: number
  successes: number
  /** Epoch milliseconds of the last probe and of the last good one; 0 = never. */
  probedAt: number
  seenAt: number
  /** Of the last probe, in milliseconds. */
  latencyMs: number
  /** Why the last probe failed, in public words. */
  reason: string | null
  inFlight: number
  draining: boolean
  /** Whether somebody else says that it is not well: at its best it is degraded. */
  doubted: boolean
  /** Monotonic milliseconds of the last good probe; -1 before the first one. */
  provedAt: number
  /** Monotonic milliseconds at which a call was last given to it; 0 = never. */
  usedAt: number
  /** Epoch milliseconds at which calls last gave reason to doubt that it lives; 0 = never. */
  suspectedAt: number
  /** Calls at it that are not ours, by its own figures when it was last asked; 0 where it tells none. */
  others: number
  /** Its names of the models in memory; `null` where it does not say. */
  loaded: Set<string> | null
  /** The model that it was last given a call for without having it; `null` once that is loaded. */
  loading: string | null
}

/** What the circuit breaker remembers of a target; it is closed while `openUntil` is 0. */
export interface BreakerState {
  /** In a row. */
  failures: number
  /** How often it has opened lately. */
  openings: number
  /** Monotonic milliseconds. */
  openedAt: number
  openUntil: number
  closedAt: number
  /** Whether the one trial of a half-open breaker is under way. */
  trial: boolean
}

/** An average in which the latest samples weigh most. */
export interface Average {
  /** 0 = no sample yet. */
  ms: number
  /** Monotonic milliseconds of the last sample. */
  at: number
}

/** What the gateway remembers of a target between requests; outlives snapshots. */
export interface TargetState {
  readonly id: TargetId
  readonly server: ServerState
  inFlight: number
  /** Monotonic milliseconds until which a 429 keeps it out; 0 = not cooling. */
  coolUntil: number
  /** Monotonic milliseconds until which every credential for it is known to be refused; 0 = not. */
  refusedUntil: number
  readonly breaker: BreakerState
  /** How long its answers take, learned while a strategy asks for it: until the first content of a stream, and until a
   * plain answer is whole. The two are not to be compared. */
  readonly ewma: { readonly streamed: Average; readonly plain: Average }
}

/** What a server tells of itself; `null` = it does not say. */
export interface Reading {
  /** Calls that it works on or that wait at it, whoever sent them. */
  readonly calls: number | null
  /** Its names of the models in memory. */
  readonly loaded: readonly string[] | null
}

/** Gives the one state object of a target or server, made on first use. */
export interface States {
  target(target: Target): TargetState
  server(id: string): ServerState
}

/** The same, and what lets go of them. */
export interface StateMemory extends States {
  /** Forgets servers that are none of these, with their targets, unless they still have calls or are marked. */
  retain(servers: ReadonlySet<string>): void
  /** Forgets what probes and calls have found out about a server and its targets: another one has its name. */
  forget(server: string): void
}

/** Where a breaker stands: past its time, or once a probe has been good, one trial is let through. */
export function breakerOf({ breaker, server }: TargetState, now: number): 'closed' | 'open' | 'half-open' {
  if (breaker.openUntil === 0) return 'closed'
  return now >= breaker.openUntil || server.provedAt > breaker.openedAt ? 'half-open' : 'open'
}

/** Whether the breaker lets a call through now. */
export function breakerAdmits(state: TargetState, now: number): boolean {
  if (state.breaker.openUntil === 0) return true
  return !state.breaker.trial && breakerOf(state, now) === 'half-open'
}

/** Whether a target may be tried now: its server answers and is not drained, its breaker lets a call through, no limit
 * of its own keeps it out, and it takes one of the credentials. */
export function isAvailable(state: TargetState, now: number): boolean {
  const { health, draining } = state.server
  return (
    health !== 'unhealthy' &&
    !draining &&
    state.coolUntil <= now &&
    state.refusedUntil <= now &&
    breakerAdmits(state, now)
  )
}

/** Whether a target and its server are below their `max_concurrent`, counting the calls of this process only. */
export function hasPlace(states: States, target: Target): boolean {
  const state = states.target(target)
  if (target.maxConcurrent > 0 && state.inFlight >= target.maxConcurrent) return false
  return target.server.maxConcurrent === 0 || state.server.inFlight < target.server.maxConcurrent
}
