import type { Server } from '#core/servers.ts'
import type { StateMemory } from '#core/states.ts'
import type { HealthSettings } from './health.ts'
import { type ProbeOptions, type Rhythm, startRhythm } from './rhythm.ts'

export interface ProberOptions extends ProbeOptions {
  readonly states: StateMemory
  /** Whether this process probes; of several workers one does, and tells the others (default: it does). */
  readonly leads?: () => boolean
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
      const addresses = new Map(servers.map(({ id, baseUrl }) => [id, baseUrl]))
      // What is known of one that is gone, or of another address, says nothing of the one that has its name next.
      for (const { id, baseUrl } of wanted) if (addresses.get(id) !== baseUrl) options.states.forget(id)
      wanted = servers
      settings = next
      stopUnless(server => same && addresses.has(server.id))
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
