import type { Clock } from '#core/clock.ts'
import type { ProbeBoard } from '#core/probes.ts'
import type { Server } from '#core/servers.ts'
import type { States } from '#core/states.ts'
import { sha256 } from '#lib/hash.ts'
import type { ProbeResult } from './health.ts'

type Probe = (server: Server, signal: AbortSignal) => Promise<ProbeResult>

export interface ShareProbesOptions {
  readonly clock: Pick<Clock, 'time'>
  readonly states: States
  readonly board: ProbeBoard
  /** Between two probes of a server that is well, in milliseconds. */
  readonly intervalMs: () => number
}

/** Below one, so that nobody counts the same answer twice and the one that asked asks again. */
const FRESH = 0.8
/** What is told of a later time than this from now is of a clock that was wrong, and would hold until then. */
const AHEAD_MAX_MS = 10_000

/** Lets of all processes one probe a server that is well: what it was answered holds for the others until their next
 * turn. Bad news is not shared: each finds out for itself, so that one process with a broken network takes no server from
 * the others. */
export function shareProbes(probe: Probe, { clock, states, board, intervalMs }: ShareProbesOptions): Probe {
  async function known(key: string, since: number): Promise<ProbeResult | null> {
    try {
      const found = await board.since(key, since)
      if (found === null || found.at > clock.time() + AHEAD_MAX_MS) return null
      return { ok: true, latencyMs: found.latencyMs, reason: null, agoMs: Math.max(0, clock.time() - found.at) }
    } catch {
      return null
    }
  }

  return async (server, signal) => {
    const { health, suspectedAt } = states.server(server.id)
    const since = Math.max(clock.time() - FRESH * intervalMs(), suspectedAt)
    const key = sha256(JSON.stringify([server.id, server.kind, server.baseUrl, server.own?.healthUrl]))
    // What is not known to be well is asked: a list of models or a first call may depend on it.
    const shared = health === 'healthy' ? await known(key, since) : null
    if (shared !== null) return shared
    const result = await probe(server, signal)
    if (result.ok) {
      const post = board.post(key, { at: clock.time(), latencyMs: result.latencyMs }, 2 * intervalMs())
      void post.catch(() => {})
    }
    return result
  }
}
