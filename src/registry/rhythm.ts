import type { Clock } from '#core/clock.ts'
import type { ProbedState } from '#core/crew.ts'
import type { Journal } from '#core/journal.ts'
import type { Server } from '#core/servers.ts'
import type { States } from '#core/states.ts'
import { type HealthSettings, type ProbeResult, probedStateOf, recordProbe } from './health.ts'

/** After a failure, and until a server is back, it is probed at least this often. */
const HURRY_MS = 5000
const FIRST_PROBES_WITHIN_MS = 1000

/** What every probe is made with. */
export interface ProbeOptions {
  readonly clock: Clock
  readonly states: States
  readonly journal: Journal
  /** From 0 up to but not including 1; spreads the first probes. */
  readonly random: () => number
  /** Asks a server whether it lives. `signal` aborts when the time is over. */
  readonly probe: (server: Server, signal: AbortSignal) => Promise<ProbeResult>
  /** Told of each probe what is known since. */
  readonly onProbed?: (server: string, state: ProbedState) => void
}

/** The probes of one server, each after the one before. */
export interface Rhythm {
  /** Probes now, because calls fail there. */
  suspect(): void
  stop(): void
}

export interface RhythmOptions extends ProbeOptions {
  readonly server: Server
  readonly settings: HealthSettings
}

/** Begins to probe a server. */
export function startRhythm(options: RhythmOptions): Rhythm {
  const { clock, server, probe, settings } = options
  const state = options.states.server(server.id)
  let stopped = false
  let pending = false
  let suspected = false
  let disarm = clock.after(options.random() * FIRST_PROBES_WITHIN_MS, turn)

  function turn(): void {
    if (stopped) return
    const startedAt = clock.now()
    const controller = new AbortController()
    let over = false

    function finish(result: ProbeResult): void {
      if (over || stopped) return
      over = true
      disarm()
      const proves = !suspected
      suspected = false
      const ok = recordProbe(state, result, { ...options, proves })
      if (proves || !ok) options.onProbed?.(server.id, probedStateOf(state))
      const hurry = state.health === 'unhealthy' || state.failures > 0
      const wait = hurry ? Math.min(settings.intervalMs, HURRY_MS) : settings.intervalMs
      disarm = clock.after(Math.max(0, startedAt + wait - clock.now()), turn)
    }

    const late = { ok: false, latencyMs: settings.timeoutMs, reason: `no answer within ${settings.timeoutMs / 1000} s` }
    disarm = clock.after(settings.timeoutMs, () => {
      controller.abort()
      finish(late)
    })
    // The probe before may still hang although it was aborted: asking a second time would only add to it.
    if (pending) return
    pending = true
    void ask(controller.signal, startedAt).then(result => {
      pending = false
      finish(result)
    })
  }

  async function ask(signal: AbortSignal, startedAt: number): Promise<ProbeResult> {
    try {
      return await probe(server, signal)
    } catch {
      return { ok: false, latencyMs: clock.now() - startedAt, reason: 'the probe failed' }
    }
  }

  return {
    suspect() {
      state.suspectedAt = clock.time()
      // One that is under way, or a server that is out, needs no reminder.
      if (pending || state.health === 'unhealthy' || state.failures > 0) return
      // Its good answer proves nothing: calls fail there although it lives, and the breaker has to rest it.
      suspected = true
      disarm()
      turn()
    },
    stop() {
      stopped = true
      disarm()
    },
  }
}
