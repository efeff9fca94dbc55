import type { Clock } from '#core/clock.ts'
import type { ProbedState } from '#core/crew.ts'
import type { Journal } from '#core/journal.ts'
import type { Server } from '#core/servers.ts'
import type { Health, ServerState, States } from '#core/states.ts'

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

export interface ProberOptions {
  readonly clock: Clock
  readonly states: States
  readonly journal: Journal
  /** From 0 up to but not including 1; spreads the first probes. */
  readonly random: () => number
  /** Asks a server whether it lives. `signal` aborts when the time is over. */
  readonly probe: (server: Server, signal: AbortSignal) => Promise<ProbeResult>
  /** Whether this process probes; of several workers one does, and tells the others (default: it does). */
  readonly leads?: () => boolean
  /** Told of each probe what is known since. */
  readonly onProbed?: (server: string, state: ProbedState) => void
}

/** Keeps asking servers whether they live. */
export interface Prober {
  /** Sets what is probed, and how; servers that stay keep their state and their rhythm. */
  watch(servers: readonly Server[], settings: HealthSettings): void
  /** Asks a server now, because calls fail there. */
  suspect(server: string): void
  start(): void
  /** Begins to probe what another worker has probed until now. */
  lead(): void
  stop(): void
}

/** After a failure, and until a server is back, it is probed at least this often. */
const HURRY_MS = 5000
const FIRST_PROBES_WITHIN_MS = 1000

/** Creates the prober: one rhythm for each server, in which a probe never overlaps the one before. */
export function createProber(options: ProberOptions): Prober {
  const watched = new Map<string, { readonly rhythm: Rhythm; readonly server: Server }>()
  let wanted: readonly Server[] = []
  let settings: HealthSettings | null = null
  let running = false

  function update(): void {
    if (settings === null) return
    const now = settings
    for (const server of wanted) {
      const before = watched.get(server.id)
      if (before?.server === server) continue
      if (options.leads?.() === false) continue
      before?.rhythm.stop()
      // What is known of another address says nothing of this one.
      if (before !== undefined && before.server.baseUrl !== server.baseUrl) forget(options.states.server(server.id))
      watched.set(server.id, { server, rhythm: startRhythm({ ...options, server, settings: now }) })
    }
  }

  function stopUnless(keeps: (server: Server) => boolean): void {
    for (const [id, { rhythm, server }] of watched) {
      if (keeps(server)) continue
      rhythm.stop()
      watched.delete(id)
    }
  }

  return {
    watch(servers, next) {
      const same = JSON.stringify(settings) === JSON.stringify(next)
      const ids = new Set(servers.map(server => server.id))
      wanted = servers
      settings = next
      stopUnless(server => same && ids.has(server.id))
      if (running) update()
    },
    suspect: id => watched.get(id)?.rhythm.suspect(),
    start() {
      running = true
      update()
    },
    lead() {
      if (running) update()
    },
    stop() {
      running = false
      stopUnless(() => false)
    },
  }
}

function forget(state: ServerState): void {
  Object.assign(state, {
    health: 'unknown',
    failures: 0,
    successes: 0,
    reason: null,
    provedAt: -1,
    others: 0,
    loaded: null,
    loading: null,
  } satisfies Partial<ServerState>)
}

interface Rhythm {
  suspect(): void
  stop(): void
}

interface RhythmOptions extends ProberOptions {
  readonly server: Server
  readonly settings: HealthSettings
}

function startRhythm(options: RhythmOptions): Rhythm {
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
      const judged = tooLate(result, settings) ?? result
      const proves = !suspected
      suspected = false
      record(state, judged, { ...options, proves })
      if (proves || !judged.ok) options.onProbed?.(server.id, probedStateOf(state))
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

function tooLate({ ok, latencyMs }: ProbeResult, { criticalMs }: HealthSettings): ProbeResult | null {
  if (!ok || latencyMs <= criticalMs) return null
  return { ok: false, latencyMs, reason: `it answered only after ${Math.round(latencyMs)} ms` }
}

/** Writes what a probe found into the state of its server, and notes when the health changes. */
function record(
  state: ServerState,
  result: ProbeResult,
  { clock, journal, settings, proves }: Pick<RhythmOptions, 'clock' | 'journal' | 'settings'> & { proves: boolean },
): void {
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
}

function judge(state: ServerState, result: ProbeResult, settings: HealthSettings): Health {
  if (!result.ok) return state.failures >= settings.unhealthyThreshold ? 'unhealthy' : state.health
  if (state.health === 'unhealthy' && state.successes < settings.recoveryThreshold) return 'unhealthy'
  return result.latencyMs > settings.slowMs || state.doubted ? 'degraded' : 'healthy'
}

function probedStateOf(state: ServerState): ProbedState {
  const { health, failures, successes, probedAt, seenAt, latencyMs, reason } = state
  return { health, failures, successes, probedAt, seenAt, latencyMs, reason }
}

/** Takes what another worker has found by a probe. */
export function hearProbe(
  state: ServerState,
  probed: ProbedState,
  { clock, journal }: Pick<ProberOptions, 'clock' | 'journal'>,
): void {
  const { health: from, id: server } = state
  Object.assign(state, probed)
  if (probed.failures === 0 && probed.successes > 0) state.provedAt = clock.now()
  const { health: to, reason } = probed
  if (to !== from) journal.note({ type: 'health-changed', server, from, to, reason, heard: true })
}

/** Takes what somebody else says of a server; probes go on to say whether it lives. */
export function doubt(state: ServerState, doubted: boolean, journal: Journal): void {
  if (state.doubted === doubted) return
  state.doubted = doubted
  const { health: from, id: server } = state
  const to = doubted ? 'degraded' : 'healthy'
  if (from !== (doubted ? 'healthy' : 'degraded')) return
  state.health = to
  journal.note({ type: 'health-changed', server, from, to, reason: doubted ? 'an alert says so' : null })
}
