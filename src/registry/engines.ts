import type { Clock } from '#core/clock.ts'
import type { Server } from '#core/servers.ts'
import type { Reading, ServerState, States } from '#core/states.ts'

/** A place where a server may tell of itself; `null` when it does not.
 *
 * @throws when the server cannot be asked now. */
export type Source = (server: Server) => Promise<Reading | null>

export interface EnginesOptions {
  readonly clock: Clock
  readonly states: States
  /** Where servers of its kind may tell of themselves, the best place first. */
  readonly sources: (server: Server) => readonly Source[]
  /** Told of everything that was read. */
  readonly onReading?: (server: string, reading: Reading) => void
}

/** Asks servers what they are busy with. */
export interface Engines {
  /** Writes what a server tells into its state; one that tells nothing is asked once only. Never throws. */
  read(server: Server): Promise<void>
  /** Reads a server in a moment, once, however often it is asked for until then. */
  readSoon(server: Server): void
}

const SOON_MS = 250

/** Creates the reader. */
export function createEngines({ clock, states, sources, onReading }: EnginesOptions): Engines {
  const known = new WeakMap<Server, Source | null>()
  const soon = new Set<Server>()

  async function read(server: Server): Promise<void> {
    const state = states.server(server.id)
    const place = known.get(server)
    if (place === null) return
    try {
      for (const source of place === undefined ? sources(server) : [place]) {
        const reading = await source(server)
        if (reading === null) continue
        known.set(server, source)
        onReading?.(server.id, reading)
        return takeReading(state, reading)
      }
      known.set(server, null)
    } catch {
      // Whether it is up is for the probes to say.
    }
    state.others = 0
  }

  return {
    read,
    readSoon(server) {
      if (soon.has(server)) return
      soon.add(server)
      clock.after(SOON_MS, () => {
        soon.delete(server)
        void read(server)
      })
    },
  }
}

/** Writes what a server has told into its state. */
export function takeReading(state: ServerState, { calls, loaded }: Reading): void {
  state.others = calls === null ? 0 : Math.max(0, calls - state.inFlight)
  state.loaded = loaded === null ? null : new Set(loaded)
  if (state.loading !== null && state.loaded?.has(state.loading)) state.loading = null
}
