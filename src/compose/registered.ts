import type { Config } from '#config/schema.ts'
import type { ServerRecord } from '#core/registry.ts'
import type { Server } from '#core/servers.ts'
import { GATEWAY_ROLE } from '#gateway/upstream/hops.ts'
import { inUrl } from '#lib/net.ts'
import type { Registration } from '#wire/orchestration.ts'
import { addressOf } from './address.ts'

/** A server made from a record, and what it was made from. */
interface Made {
  readonly config: Config
  readonly key: string
  readonly server: Server | null
}

/** Makes servers from all records. An unchanged record gives the same object again, so that probes and connections of
 * its server go on. */
export function createServersOf(config: () => Config): (records: readonly ServerRecord[]) => readonly Server[] {
  let made = new Map<string, Made>()

  function make(record: ServerRecord): Made {
    const key = JSON.stringify([record.kind, record.baseUrl, record.settings])
    const before = made.get(record.id)
    if (before?.key === key && before.config === config()) return before
    return { config: config(), key, server: serverOf(record, config()) }
  }

  return records => {
    const registered = records.filter(({ origin }) => origin === 'registered')
    made = new Map(registered.map(record => [record.id, make(record)]))
    return [...made.values()].flatMap(({ server }) => server ?? [])
  }
}

function serverOf({ id, kind, baseUrl, settings }: ServerRecord, config: Config): Server | null {
  const { models_endpoint: list, health_endpoint: health, credential } = settings
  // A list at /api/v1/models means calls at /api/v1/chat/completions.
  const base = list?.endsWith('/models') === true ? `${baseUrl}${list.slice(0, -'/models'.length)}` : baseUrl
  const address = addressOf(kind, base)
  if (address === null) return null
  const secret = credential === null ? undefined : config.orchestration.credentials[credential]
  return {
    id,
    kind,
    baseUrl: address,
    role: settings.role,
    weight: settings.weight,
    secrets: secret === undefined ? [] : [secret],
    headers: {},
    maxConcurrent: settings.max_concurrent,
    timeouts: config.timeouts,
    origin: 'registration',
    own: { models: settings.models, healthUrl: health === null ? null : `${baseUrl}${health}` },
  }
}

/** How this gateway registers itself with others; `null` where they could not reach it. */
export function selfOf(
  config: Config,
  own: { readonly host: string; readonly port: number } | null,
): Registration | null {
  const { advertise } = config.orchestration
  const scheme = config.service.tls === null ? 'http' : 'https'
  const url =
    advertise === null
      ? own === null
        ? null
        : new URL(`${scheme}://${hostOf(own.host)}:${own.port}`)
      : new URL(advertise)
  if (url === null) return null
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  const id = `${config.service.name}-${url.hostname}-${port}`.replace(/[^\w.-]+/g, '-').slice(0, 64)
  return {
    server_info: {
      id: /^[a-z0-9]/i.test(id) ? id : `g${id}`.slice(0, 64),
      hostname: url.hostname,
      port,
      scheme: url.protocol === 'https:' ? 'https' : 'http',
      role: GATEWAY_ROLE,
      capabilities: [],
      services: ['citadel-gateway'],
      models: null,
      weight: 1,
      max_concurrent: 0,
      credential: null,
    },
    health_endpoint: '/health',
    models_endpoint: '/v1/models',
    metrics_endpoint: '/metrics',
  }
}

function hostOf(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return inUrl(host)
}
