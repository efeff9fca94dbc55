import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Journal } from '#core/journal.ts'
import {
  type AlertEffect,
  isDraining,
  type ServerChange,
  type ServerChanged,
  type ServerRecord,
} from '#core/registry.ts'
import type { Server } from '#core/servers.ts'
import type { ServerState } from '#core/states.ts'
import type { Registrations } from '#registry/registrations.ts'
import type { LoadMetrics, Registration, ServerView } from '#wire/orchestration.ts'
import { type FleetView, fleetStatus, modelsByServer } from './fleet.ts'
import { levelOf, type Threshold, worstOf } from './health.ts'
import { reached } from './reached.ts'

/** What servers are managed with. */
export interface OrchestrationDeps {
  readonly clock: Pick<Clock, 'time'>
  readonly journal: Journal
  readonly registrations: Registrations
  readonly fleet: () => FleetView
  /** The kind of a server that does not say which it is. */
  readonly usualKind: string
  /** The kinds of servers that can be used here. */
  readonly kinds: readonly string[]
  /** Ends a message with the kind that was most likely meant; with nothing where none is. */
  readonly meantKind: (kind: string) => string
  /** Whether the configuration holds a credential of this name. */
  readonly hasCredential: (name: string) => boolean
  /** @throws GatewayError `address_not_allowed` */
  readonly checkAddress: (hostname: string) => Promise<unknown>
  /** The share of its attempts that a server failed of late, 0 to 1; `null` of too few. */
  readonly errorRate: (server: string) => number | null
  /** From which such share on a server is degraded, or unhealthy. */
  readonly errorThreshold: () => Threshold
}

/** What became of a failover, or of its end. */
interface Failover {
  readonly server_id: string
  readonly status: 'active' | 'draining'
  readonly in_flight: number
}

/** What may be done with servers. What changes something fails with `dependency_unavailable` while the store is away;
 * what names a server with `not_found` where there is none. */
export interface Orchestration {
  list(): readonly ServerView[]
  show(id: string): ServerView
  /** @throws GatewayError `address_not_allowed`, `conflict` where the configuration declares a server with this id,
   * `invalid_request` for an unknown kind or credential. */
  register(by: string, wished: Registration): Promise<ServerView>
  beat(id: string, load: LoadMetrics | null): Promise<ServerView>
  /** A sign of life that somebody else has seen.
   *
   * @returns Whether there is such a registered server. */
  report(id: string, load: LoadMetrics | null): Promise<boolean>
  remove(by: string, id: string): Promise<void>
  /** Sends new requests elsewhere, or there again; streams go on. Says the same when that is so already. */
  mark(by: string, id: string, status: 'active' | 'draining'): Promise<Failover>
  /** What an alert says of a server; `null` = it is resolved.
   *
   * @returns Whether that changed anything; none begins for a server that is not there. */
  alert(id: string, alert: string, effect: AlertEffect | null): Promise<boolean>
  /** The health of the whole fleet. */
  health(): object
}

/** Creates the management of servers. */
export function createOrchestration(deps: OrchestrationDeps): Orchestration {
  const { clock, journal, registrations } = deps

  function list(): readonly ServerView[] {
    const { snapshot, states } = deps.fleet()
    const models = modelsByServer(snapshot)
    return [...snapshot.servers.values()].map(server =>
      toView(server, states.server(server.id), {
        record: registrations.current().get(server.id),
        models: models.get(server.id) ?? [],
      }),
    )
  }

  function show(id: string): ServerView {
    const found = list().find(({ server_id }) => server_id === id)
    if (found === undefined) throw noSuchServer()
    return found
  }

  /** With what its answers say of it, beside the probes. */
  function judged(server: ServerView) {
    const state = deps.fleet().states.server(server.server_id)
    const error_rate = deps.errorRate(server.server_id)
    return {
      ...server,
      health_status: worstOf([server.health_status, levelOf(error_rate ?? 0, deps.errorThreshold())]),
      latency_ms: state.probedAt === 0 ? null : Math.round(state.latencyMs),
      error_rate,
      reason: state.reason,
    }
  }

  function change(wanted: ServerChange): Promise<ServerChanged | null> {
    return reached(registrations.change(wanted))
  }

  async function report(id: string, load: LoadMetrics | null): Promise<boolean> {
    return (await change({ kind: 'beat', id, at: clock.time(), load })) !== null
  }

  function tellDrain(server: string, by: string, changed: ServerChanged | null): void {
    const [before, after] = [isDraining(changed?.before), isDraining(changed?.after)]
    if (before !== after) journal.note({ type: after ? 'server-drained' : 'server-recovered', server, by })
  }

  async function check({ server_info: info }: Registration): Promise<string> {
    const { id, kind = deps.usualKind, credential } = info
    const known = deps.fleet().snapshot.servers.get(id)
    if (known !== undefined && known.origin !== 'registration') {
      throw new GatewayError('conflict', `"${id}" is the id of a server that did not register itself.`)
    }
    if (!deps.kinds.includes(kind)) {
      const known = `expected one of ${deps.kinds.join(', ')}, got "${kind}"`
      throw invalid('server_info.kind', `${known}${deps.meantKind(kind)}`)
    }
    if (credential !== null && !deps.hasCredential(credential)) {
      throw invalid('server_info.credential', `orchestration.credentials has no "${credential}"`)
    }
    const url = addressOf(info)
    await deps.checkAddress(url.hostname.replace(/^\[|\]$/g, ''))
    return url.origin
  }

  return {
    list,
    show,
    async register(by, wished) {
      const baseUrl = await check(wished)
      const { server_info, ...endpoints } = wished
      const { id, kind = deps.usualKind, hostname: _, port: __, scheme: ___, ...about } = server_info
      const server = { id, kind, baseUrl, by, settings: { ...about, ...endpoints } }
      const changed = await change({ kind: 'register', server, at: clock.time() })
      if (changed?.before === null) journal.note({ type: 'server-registered', server: id, address: baseUrl, by })
      return show(id)
    },
    async beat(id, load) {
      if (!(await report(id, load))) throw noSuchServer()
      return show(id)
    },
    report,
    async remove(by, id) {
      const known = deps.fleet().snapshot.servers.get(id)
      const takenOver = known !== undefined && known.origin !== 'registration'
      const changed = takenOver ? null : await change({ kind: 'remove', id, at: clock.time() })
      if (changed === null) throw noSuchServer()
      journal.note({ type: 'server-departed', server: id, reason: 'removed', by })
    },
    async mark(by, id, status) {
      show(id)
      tellDrain(id, by, await change({ kind: 'mark', id, status, at: clock.time(), by }))
      return { server_id: id, status, in_flight: deps.fleet().states.server(id).inFlight }
    },
    async alert(id, alert, effect) {
      // One that is resolved is over, also while the configuration leaves its server out.
      if (effect !== null && !deps.fleet().snapshot.servers.has(id)) return false
      const changed = await change({ kind: 'alert', id, alert, effect, at: clock.time() })
      tellDrain(id, alert, changed)
      return changed !== null
    },
    health() {
      const servers = list().flatMap(server => (server.origin === 'built-in' ? [] : [judged(server)]))
      const count = (status: ServerView['health_status']) =>
        servers.filter(({ health_status }) => health_status === status).length
      const [healthy, unhealthy] = [count('healthy'), count('unhealthy')]
      const level = healthy === servers.length ? 'healthy' : unhealthy === servers.length ? 'unhealthy' : 'degraded'
      return {
        cluster_status: worstOf([fleetStatus(deps.fleet()), level]),
        total_servers: servers.length,
        healthy_servers: healthy,
        degraded_servers: count('degraded'),
        unhealthy_servers: unhealthy,
        server_details: servers,
        last_updated: new Date(clock.time()).toISOString(),
      }
    },
  }
}

/** The address that a registration means, as every reader of URLs understands it: `0x7f.1` is 127.0.0.1.
 *
 * @throws GatewayError `invalid_request` where the host name is more than a host name. */
function addressOf({ scheme, hostname, port }: Registration['server_info']): URL {
  const host = hostname.includes(':') && !hostname.startsWith('[') ? `[${hostname}]` : hostname
  const url = /[\s/?#@\\%]/.test(host) ? null : URL.parse(`${scheme}://${host}:${port}`)
  if (url === null || url.hostname === '') throw invalid('server_info.hostname', 'expected a host name or an address')
  return url
}

function toView(
  server: Server,
  state: ServerState,
  { record, models }: { readonly record: ServerRecord | undefined; readonly models: readonly string[] },
): ServerView {
  const url = new URL(server.baseUrl)
  const { settings, load, heartbeatAt = 0, origin } = record ?? { settings: undefined, load: null, origin: null }
  const seenAt = Math.max(state.seenAt, origin === 'registered' ? heartbeatAt : 0)
  return {
    server_id: server.id,
    hostname: url.hostname,
    port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
    kind: server.kind,
    role: server.role,
    origin: server.origin,
    status: state.draining ? 'draining' : 'active',
    models: [...models],
    services: settings?.services ?? [],
    health_status: state.health === 'unknown' ? 'degraded' : state.health,
    last_seen: seenAt === 0 ? null : new Date(seenAt).toISOString(),
    capabilities: settings?.capabilities ?? [],
    load_metrics: { ...load, in_flight: state.inFlight },
  }
}

function noSuchServer(): GatewayError {
  return new GatewayError('not_found', 'There is no server with this id.')
}

function invalid(path: string, message: string): GatewayError {
  const end = message.endsWith('?') ? '' : '.'
  return new GatewayError('invalid_request', `${path}: ${message}${end}`, { param: path, details: [{ path, message }] })
}
