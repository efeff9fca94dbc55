import type { TargetId } from '#core/servers.ts'
import type { ServerState, StateMemory, TargetState } from '#core/states.ts'

/** Creates the memory of servers and targets; each has one object, whatever snapshot it is asked for. */
export function createStates(): StateMemory {
  const targets = new Map<TargetId, TargetState>()
  const servers = new Map<string, ServerState>()

  function server(id: string): ServerState {
    let state = servers.get(id)
    if (state === undefined) {
      state = newServerState(id)
      servers.set(id, state)
    }
    return state
  }

  return {
    server,
    target(target) {
      let state = targets.get(target.id)
      if (state === undefined) {
        state = newTargetState(target.id, server(target.server.id))
        targets.set(target.id, state)
      }
      return state
    },
    retain(ids) {
      for (const [id, { inFlight, draining, doubted }] of servers) {
        if (!ids.has(id) && inFlight === 0 && !draining && !doubted) servers.delete(id)
      }
      for (const [id, { server: of }] of targets) if (servers.get(of.id) !== of) targets.delete(id)
    },
    forget(id) {
      const state = servers.get(id)
      if (state === undefined) return
      Object.assign(state, UNKNOWN)
      for (const target of targets.values()) if (target.server === state) forgetTarget(target)
    },
  }
}

/** What is known of a server before its first probe. */
const UNKNOWN = {
  health: 'unknown',
  failures: 0,
  successes: 0,
  reason: null,
  provedAt: -1,
  others: 0,
  loaded: null,
  loading: null,
} satisfies Partial<ServerState>

const CLOSED = { failures: 0, openings: 0, openedAt: 0, openUntil: 0, closedAt: 0, trial: false }

function forgetTarget(state: TargetState): void {
  state.coolUntil = 0
  state.refusedUntil = 0
  Object.assign(state.breaker, CLOSED)
  for (const average of [state.ewma.streamed, state.ewma.plain]) Object.assign(average, { ms: 0, at: 0 })
}

function newServerState(id: string): ServerState {
  return {
    ...UNKNOWN,
    id,
    probedAt: 0,
    seenAt: 0,
    latencyMs: 0,
    inFlight: 0,
    draining: false,
    doubted: false,
    usedAt: 0,
    suspectedAt: 0,
  }
}

function newTargetState(id: TargetId, server: ServerState): TargetState {
  return {
    id,
    server,
    inFlight: 0,
    coolUntil: 0,
    refusedUntil: 0,
    breaker: { ...CLOSED },
    ewma: { streamed: { ms: 0, at: 0 }, plain: { ms: 0, at: 0 } },
  }
}
