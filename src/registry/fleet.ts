import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '#core/clock.ts'
import type { Crew, ProbedState } from '#core/crew.ts'
import type { DeclaredModel } from '#core/declared.ts'
import type { Journal } from '#core/journal.ts'
import type { LocalPlace } from '#core/local-place.ts'
import type { Knowledge, ListedModel, Server } from '#core/servers.ts'
import type { Settings, Snapshot } from '#core/snapshot.ts'
import type { ServerState, StateMemory } from '#core/states.ts'
import type { Discovery, Missing } from './discovery.ts'
import type { HealthSettings, ProbeResult } from './health.ts'
import { createListing } from './listing.ts'
import { createPreload, type PreloadOptions } from './preload.ts'
import { createProber } from './prober.ts'
import { createRelisting } from './relisting.ts'
import { buildSnapshot, undeclaredServers } from './snapshot.ts'

/** What the configuration says of the fleet. */
export interface Declaration {
  readonly settings: Settings
  readonly health: HealthSettings
  readonly servers: readonly Server[]
  readonly models: readonly DeclaredModel[]
  /** Where servers on this machine are looked for; empty where they are not. */
  readonly places: readonly LocalPlace[]
  /** How long a server's list of models holds at most, in milliseconds. */
  readonly listsHoldMs: number
  /** Models that servers load before they are asked for. */
  readonly preload: readonly string[]
}

export interface FleetOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly states: StateMemory
  readonly journal: Journal
  readonly probe: (server: Server, signal: AbortSignal) => Promise<ProbeResult>
  readonly list: (server: Server) => Promise<readonly ListedModel[]>
  readonly load: PreloadOptions['load']
  readonly discovery: Discovery
  /** Kinds that offer no models and are only watched. */
  readonly watchedOnly?: ReadonlySet<string>
  /** Kinds whose models are only used when they are named. */
  readonly namedOnly?: ReadonlySet<string>
  readonly knowledge?: Knowledge
  /** The other workers; they hear what this one finds (default: there are none). */
  readonly crew?: Pick<Crew, 'leads'>
  readonly onProbed?: (server: string, state: ProbedState) => void
}

/** The fleet as people want to see it. */
interface FleetStatus {
  readonly servers: readonly {
    readonly server: Server
    readonly state: ServerState
    /** Public names of the models that it serves. */
    readonly models: readonly string[]
  }[]
  /** Places where a server was looked for in vain. */
  readonly missing: readonly Missing[]
  readonly discovering: boolean
}

/** The servers and models that there are: declared, found, and as the servers themselves list them. */
export interface Fleet {
  current(): Snapshot
  /** Takes a new configuration; running requests keep the snapshot they started with. */
  replace(declaration: Declaration): void
  /** Sets which servers have registered themselves; ids that are declared stay the declared ones'. */
  enroll(servers: readonly Server[]): void
  /** Begins to probe, to ask and to look.
   *
   * @returns Resolves when what can be known at once is known; the fleet serves before that too. */
  start(): Promise<void>
  /** Begins to probe for all workers. */
  lead(): void
  stop(): void
  status(): FleetStatus
  /** Calls fail at a server: it is asked at once whether it lives. */
  suspect(server: string): void
  /** A server answers its probes that failed them before, or was not known. */
  returned(server: string, wasDown: boolean): void
}

/** Creates the registry of servers and models. */
export function createFleet(options: FleetOptions, first: Declaration): Fleet {
  const { discovery, journal, watchedOnly = new Set() } = options
  const leads = options.crew?.leads ?? (() => true)
  const prober = createProber({ ...options, leads })
  const preload = createPreload(options)
  let declaration = first
  const relisting = createRelisting({ ...options, current: () => snapshot, build, take })
  const listing = createListing({
    ...options,
    longestMs: () => declaration.listsHoldMs,
    onChange: relisting.changed,
  })
  let found: readonly Server[] = []
  let enrolled: readonly Server[] = []
  let version = 0
  let running = false
  const looks = () => declaration.places.length > 0
  const servers = () => allServers(declaration, enrolled, found)
  let snapshot = build()

  function build(): Snapshot {
    return buildSnapshot({
      version: ++version,
      settings: declaration.settings,
      servers: servers(),
      declaredModels: declaration.models,
      listed: listing.current(),
      namedOnly: options.namedOnly,
      knowledge: options.knowledge,
    })
  }

  /** All workers see a change, and one of them tells it.
   *
   * @param message What is told of it; `null` where somebody else tells it. */
  function take(next: Snapshot, message: string | null): void {
    snapshot = next
    if (message !== null && leads()) journal.note({ type: 'fleet-changed', message })
    preloadAgain(null)
  }

  const rebuild = (message: string | null) => take(build(), message)

  /** What had no server so far may have one now. */
  function preloadAgain(lost: string | null): void {
    if (running && leads() && declaration.preload.length > 0) void preload.again(declaration.preload, snapshot, lost)
  }

  /** Sets the prober and the listing to the servers there are now. */
  function watch(): Promise<void> {
    const all = servers()
    prober.watch(all, declaration.health)
    // Servers that register under ever new names would fill the memory.
    options.states.retain(new Set(all.map(({ id }) => id)))
    if (!running) return Promise.resolve()
    const open = new Set(undeclaredServers(all, declaration.models))
    const asked = all.filter(server => !watchedOnly.has(server.kind))
    const listed = listing.watch(
      asked.filter(server => open.has(server)),
      asked.filter(server => !open.has(server)),
    )
    return listed.then(relisting.settle)
  }

  async function discover(): Promise<void> {
    let listed = Promise.resolve()
    await discovery.start(declaration.places, discovered => {
      found = discovered.found
      rebuild(found.length === 0 ? 'no local server is left' : `found ${found.map(server => server.id).join(', ')}`)
      listed = watch()
    })
    await listed
  }

  return {
    current: () => snapshot,
    replace(next) {
      const elsewhere = !isDeepStrictEqual(next.places, declaration.places)
      declaration = next
      if (!looks()) discovery.stop()
      else if (running && elsewhere) void discover()
      found = discovery.current().found
      rebuild(null)
      void watch()
    },
    enroll(next) {
      if (next.length === enrolled.length && next.every((server, index) => server === enrolled[index])) return
      enrolled = next
      rebuild(`registered are ${next.map(server => server.id).join(', ') || 'no servers'}`)
      void watch()
    },
    async start() {
      running = true
      prober.start()
      await Promise.all([watch(), looks() ? discover() : null])
      if (leads()) void preload.begin(declaration.preload, snapshot)
    },
    lead: prober.lead,
    stop() {
      running = false
      prober.stop()
      listing.stop()
      relisting.stop()
      discovery.stop()
    },
    suspect: prober.suspect,
    returned(server, wasDown) {
      listing.again(server)
      if (wasDown) preloadAgain(server)
    },
    status: () => ({
      servers: servers().map(server => ({
        server,
        state: options.states.server(server.id),
        models: modelsOn(server, snapshot),
      })),
      missing: looks() ? discovery.current().missing : [],
      discovering: looks(),
    }),
  }
}

/** What is declared, what has registered itself, and what was found and is neither. */
function allServers(
  { servers }: Declaration,
  enrolled: readonly Server[],
  found: readonly Server[],
): readonly Server[] {
  const declared = new Set(servers.map(server => server.id))
  const told = [...servers, ...enrolled.filter(server => !declared.has(server.id))]
  const taken = new Set(told.flatMap(server => [server.id, placeOf(server)]))
  return [...told, ...found.filter(server => !taken.has(server.id) && !taken.has(placeOf(server)))]
}

function modelsOn(server: Server, snapshot: Snapshot): readonly string[] {
  const names: string[] = []
  for (const model of snapshot.models.values()) {
    if (model.targets.some(target => target.server.id === server.id)) names.push(model.name)
  }
  return names
}

/** Where a server is, so that one that is declared is not found a second time. */
function placeOf(server: Server): string {
  return URL.parse(server.baseUrl)?.host.replace(/^(localhost|\[::1\])(?=:|$)/, '127.0.0.1') ?? server.baseUrl
}
