import type { Caller } from '#core/caller.ts'
import type { Model, Target } from '#core/servers.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { ServerState, States } from '#core/states.ts'
import { findAllowed, mayCall } from '#routing/candidates.ts'

/** What the health pages are made of. */
export interface FleetView {
  readonly snapshot: Snapshot
  readonly states: States
}

export type FleetStatus = 'healthy' | 'degraded' | 'unhealthy'

/** One model as `/v1/models` lists it. */
function toModelEntry(model: Model) {
  return {
    id: model.name,
    object: 'model' as const,
    created: model.created,
    owned_by: model.ownedBy,
    display_name: model.displayName ?? model.name,
    class: model.class,
    context_length: model.capabilities.context_length,
    capabilities: {
      tools: model.capabilities.tools,
      vision: model.capabilities.vision,
    },
  }
}

/** The models that a caller may use, by name. */
export function listModels(snapshot: Snapshot, caller: Caller) {
  const models = [...snapshot.models.values()].filter(model => mayCall(caller, model))
  return models.sort((a, b) => a.name.localeCompare(b.name)).map(toModelEntry)
}

/** The one model that a caller may know under a name, an alias or `server/model`; `null` when there is none. */
export function findModel(snapshot: Snapshot, caller: Caller, name: string) {
  const [model] = findAllowed(name, caller, snapshot)?.models ?? []
  return model === undefined ? null : { ...toModelEntry(model), id: name }
}

/** Every server with what the probes know of it. */
export function listServers({ snapshot, states }: FleetView) {
  const models = modelsByServer(snapshot)
  return [...snapshot.servers.values()].map(server => {
    const state = states.server(server.id)
    return {
      id: server.id,
      kind: server.kind,
      status: state.health,
      latency_ms: state.probedAt === 0 ? null : Math.round(state.latencyMs),
      last_probe: toTime(state.probedAt),
      last_seen: toTime(state.seenAt),
      reason: state.reason,
      models: models.get(server.id) ?? [],
      in_flight: state.inFlight,
    }
  })
}

/** Every model with the state of its targets. */
export function listModelStatus(view: FleetView) {
  return [...view.snapshot.models.values()].map(model => {
    const targets = model.targets.map(target => toTargetStatus(target, view.states))
    const up = model.targets.filter(target => isUsable(view.states.server(target.server.id))).length
    const status = up === 0 ? 'unavailable' : up < targets.length ? 'degraded' : 'available'
    return { id: model.name, class: model.class, status, targets, aliases: model.aliases, fallbacks: model.fallbacks }
  })
}

/** The servers by kind. */
export function listProviders(view: FleetView) {
  const kinds = new Map<string, { id: string; status: string; models: readonly string[] }[]>()
  for (const { id, kind, status, models } of listServers(view)) {
    kinds.set(kind, [...(kinds.get(kind) ?? []), { id, status, models }])
  }
  return [...kinds].map(([id, servers]) => ({ id, object: 'provider' as const, servers }))
}

/** How the fleet is as a whole: `unhealthy` when no model answers, whatever else does. The demo neither makes a gateway
 * healthy nor ill unless it is all there is. */
export function fleetStatus(view: FleetView): FleetStatus {
  if (!canServe(view)) return 'unhealthy'
  const { snapshot, states } = view
  const fine = [...snapshot.servers.values()].every(
    ({ id, origin }) =>
      origin === 'built-in' || (isUsable(states.server(id)) && states.server(id).health !== 'degraded'),
  )
  return fine ? 'healthy' : 'degraded'
}

/** Whether at least one model can be served now; the demo counts only where nothing else is configured. */
export function canServe({ snapshot, states }: FleetView): boolean {
  const own = [...snapshot.servers.values()].some(server => server.origin !== 'built-in')
  return [...snapshot.models.values()].some(model =>
    model.targets.some(({ server }) => (!own || server.origin !== 'built-in') && isUsable(states.server(server.id))),
  )
}

/** Counts the servers that are not built in. */
export function countServers({ snapshot, states }: FleetView): { total: number; healthy: number } {
  const servers = [...snapshot.servers.values()].filter(server => server.origin !== 'built-in')
  const healthy = servers.filter(server => states.server(server.id).health === 'healthy').length
  return { total: servers.length, healthy }
}

function toTargetStatus(target: Target, states: States) {
  const state = states.target(target)
  return {
    server: target.server.id,
    model: target.upstreamModel,
    status: state.server.health,
    weight: target.weight,
    in_flight: state.inFlight,
    loaded: target.loaded ?? null,
    reason: state.server.reason,
  }
}

/** The public names of the models on each server. */
export function modelsByServer(snapshot: Snapshot): Map<string, string[]> {
  const models = new Map<string, string[]>()
  for (const model of snapshot.models.values()) {
    for (const { server } of model.targets) {
      const names = models.get(server.id)
      if (names === undefined) models.set(server.id, [model.name])
      else if (!names.includes(model.name)) names.push(model.name)
    }
  }
  return models
}

function isUsable(state: ServerState): boolean {
  return state.health !== 'unhealthy' && !state.draining
}

function toTime(epochMs: number): string | null {
  return epochMs === 0 ? null : new Date(epochMs).toISOString()
}
