import type { Call } from '#core/call.ts'
import { expectLoad, noteLoaded } from '#core/residence.ts'
import type { Model, Server, Target } from '#core/servers.ts'
import type { Settings, Snapshot } from '#core/snapshot.ts'
import type { States } from '#core/states.ts'
import { createStates } from '#registry/states.ts'
import { createLineups } from '#routing/lineup.ts'
import { plan } from '#routing/plan.ts'
import { call, model, server, target } from '#tests/support/calls.ts'
import { settings } from '#tests/support/fleet.ts'
import { type Agenda, createAgenda } from './agenda.ts'
import { createEngine, type Engine, type EngineOptions } from './engine.ts'
import type { Request } from './trace.ts'

/** The servers of a simulation. */
export interface FleetShape extends Omit<EngineOptions, 'agenda'> {
  readonly servers: number
  readonly models: number
  readonly random: () => number
}

/** What came of a trace under a strategy; times in milliseconds. */
export interface Result {
  readonly strategy: string
  readonly p50: number
  readonly p95: number
  readonly loads: number
  /** How many requests each server got. */
  readonly shares: readonly number[]
}

/** How soon after a load the gateway asks a server again what it holds, and how often it does so in any case. */
const SOON_MS = 1000
const PROBE_MS = 30_000

/** Sends a trace through the gateway's own planning to simulated servers. */
export function simulate(strategy: string, trace: readonly Request[], shape: FleetShape): Result {
  const agenda = createAgenda()
  const states = createStates()
  const snapshot = snapshotOf(strategy, shape)
  const engines = new Map<string, Engine>()
  for (const [index, id] of [...snapshot.servers.keys()].entries()) {
    engines.set(id, createEngine({ ...shape, agenda }, `model-${index % shape.models}`))
  }
  const clock = { now: agenda.now, time: agenda.now, after: () => () => {} }
  const deps = { clock, random: shape.random, lineups: createLineups() }
  const waits: number[] = []
  const shares = new Map([...engines.keys()].map(id => [id, 0]))
  const look = (id: string) => {
    const loaded = engines.get(id)?.loaded() ?? null
    states.server(id).loaded = new Set(loaded === null ? [] : [loaded])
  }
  const begin = agenda.now()
  const end = begin + (trace.at(-1)?.at ?? 0)
  for (const id of engines.keys()) {
    for (let at = begin; at <= end; at += PROBE_MS) agenda.at(at, () => look(id))
  }
  for (const request of trace) {
    agenda.at(begin + request.at, () => {
      const [first] = plan(callOf(request), snapshot, states, deps).candidates
      const engine = first === undefined ? undefined : engines.get(first.target.server.id)
      if (first === undefined || engine === undefined) throw new Error('nobody answers')
      const { id } = first.target.server
      shares.set(id, (shares.get(id) ?? 0) + 1)
      send(engine, request, { agenda, states, target: first.target, waits, look })
    })
  }
  agenda.play()
  const loads = [...engines.values()].reduce((sum, engine) => sum + engine.loads(), 0)
  return { strategy, p50: quantile(waits, 0.5), p95: quantile(waits, 0.95), loads, shares: [...shares.values()] }
}

interface Sending {
  readonly agenda: Agenda
  readonly states: States
  readonly target: Target
  readonly waits: number[]
  readonly look: (server: string) => void
}

/** Does what the gateway does around an attempt: counts it, times it, and learns what is in memory. */
function send(engine: Engine, request: Request, { agenda, states, target: to, waits, look }: Sending): void {
  const state = states.target(to)
  const since = agenda.now()
  state.inFlight++
  state.server.inFlight++
  state.server.usedAt = since
  expectLoad(state.server, to.upstreamModel)
  engine.ask(
    request,
    () => {
      waits.push(agenda.now() - since)
      if (noteLoaded(state.server, to.upstreamModel)) agenda.at(agenda.now() + SOON_MS, () => look(to.server.id))
    },
    () => {
      state.inFlight--
      state.server.inFlight--
    },
  )
}

function snapshotOf(algorithm: string, shape: FleetShape): Snapshot {
  const servers = Array.from({ length: shape.servers }, (_, index) => server(`server-${index}`))
  const models = Array.from({ length: shape.models }, (_, index) => modelOn(`model-${index}`, servers))
  const own: Settings = { ...settings, algorithm }
  return {
    version: 1,
    models: new Map(models.map(each => [each.name, each])),
    names: new Map(),
    targets: new Map(models.flatMap(each => each.targets).map(each => [each.id, each])),
    servers: new Map(servers.map(each => [each.id, each])),
    settings: own,
  }
}

function modelOn(name: string, servers: readonly Server[]): Model {
  const targets = servers.map(each => target(each.id, { id: `${each.id}/${name}`, server: each, upstreamModel: name }))
  return model(name, targets)
}

function callOf({ model: name, text }: Request): Call {
  return call({ model: name, body: { model: name, messages: [{ role: 'user', content: text }] } })
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.ceil(sorted.length * share) - 1] ?? 0
}
