import type { Clock } from '#core/clock.ts'
import type { ProbedState } from '#core/crew.ts'
import type { Journal } from '#core/journal.ts'
import type { Health, ServerState } from '#core/states.ts'

/** What one probe found. */
export interface ProbeResult {
  readonly ok: boolean
  readonly latencyMs: number
  /** Why it failed, in public words; `null` when it did not. */
  readonly reason: string | null
  /** How long ago it was, in milliseconds, when another process asked (default 0). */
  readonly agoMs?: number
}

/** How servers are probed, in milliseconds. */
export interface HealthSettings {
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Failed probes in a row that take a server out, and good ones that bring it back. */
  readonly unhealthyThreshold: number
  readonly recoveryThreshold: number
  /** Good answers that take longer make a server degraded: still used, but reported. */
  readonly slowMs: number
  /** Answers that take longer are as bad as none. */
  readonly criticalMs: number
}

interface Recording {
  readonly clock: Clock
  readonly journal: Journal
  readonly settings: HealthSettings
  /** Whether a good answer says that calls will be well, too. */
  readonly proves: boolean
}

/** Writes what a probe found into the state of its server, and notes when the health changes.
 *
 * @returns Whether the answer was good, and in time. */
export function recordProbe(
  state: ServerState,
  found: ProbeResult,
  { clock, journal, settings, proves }: Recording,
): boolean {
  const result = tooLate(found, settings) ?? found
  const from = state.health
  state.probedAt = clock.time()
  state.latencyMs = result.latencyMs
  state.reason = result.ok ? null : (result.reason ?? 'the probe failed')
  if (result.ok) {
    state.seenAt = state.probedAt
    if (proves) state.provedAt = clock.now() - (result.agoMs ?? 0)
    state.failures = 0
    state.successes++
  } else {
    state.successes = 0
    state.failures++
  }
  state.health = judge(state, result, settings)
  if (state.health !== from) {
    const reason = state.health === 'degraded' ? `answered after ${Math.round(result.latencyMs)} ms` : state.reason
    journal.note({ type: 'health-changed', server: state.id, from, to: state.health, reason })
  }
  return result.ok
}

function tooLate({ ok, latencyMs }: ProbeResult, { criticalMs }: HealthSettings): ProbeResult | null {
  if (!ok || latencyMs <= criticalMs) return null
  return { ok: false, latencyMs, reason: `it answered only after ${Math.round(latencyMs)} ms` }
}

function judge(state: ServerState, result: ProbeResult, settings: HealthSettings): Health {
  if (!result.ok) return state.failures >= settings.unhealthyThreshold ? 'unhealthy' : state.health
  if (state.health === 'unhealthy' && state.successes < settings.recoveryThreshold) return 'unhealthy'
  return result.latencyMs > settings.slowMs || state.doubted ? 'degraded' : 'healthy'
}

/** What others have to know of it. */
export function probedStateOf(state: ServerState): ProbedState {
  const { health, failures, successes, probedAt, seenAt, latencyMs, reason } = state
  return { health, failures, successes, probedAt, seenAt, latencyMs, reason }
}

/** Takes what another worker has found by a probe. */
export function hearProbe(
  state: ServerState,
  probed: ProbedState,
  { clock, journal }: Pick<Recording, 'clock' | 'journal'>,
): void {
  const { health: from, id: server } = state
  Object.assign(state, probed)
  if (probed.failures === 0 && probed.successes > 0) state.provedAt = clock.now()
  const { health: to, reason } = probed
  if (to !== from) journal.note({ type: 'health-changed', server, from, to, reason, heard: true })
}

/** Takes what somebody else says of a server; probes go on to say whether it lives.
 *
 * @param slowMs Above it the last probe alone makes the server degraded. */
export function doubt(state: ServerState, doubted: boolean, journal: Journal, slowMs: number): void {
  if (state.doubted === doubted) return
  state.doubted = doubted
  const { health: from, id: server } = state
  const to = doubted || state.latencyMs > slowMs ? 'degraded' : 'healthy'
  if (from === to || (from !== 'healthy' && from !== 'degraded')) return
  state.health = to
  journal.note({ type: 'health-changed', server, from, to, reason: doubted ? 'an alert says so' : null })
}
