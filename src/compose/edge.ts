import type { Buckets } from '#access/buckets.ts'
import type { Config } from '#config/schema.ts'
import type { Edge } from '#http/edge.ts'
import { type Block, clientAddress, isInBlocks, parseAddress, parseBlock } from '#lib/net.ts'
import { withoutPath } from '#lib/redact.ts'
import { VERSION } from '../version.ts'
import type { Identity } from './identity.ts'

/** The longest time that an idle connection is kept, in seconds: the highest value that the runtime takes. */
const IDLE_SECONDS_MAX = 255
/** How long a request body may take to arrive, in milliseconds. */
const BODY_TIMEOUT_MS = 30_000

/** Builds the settings of the edge from a configuration. */
export function composeEdge(config: Config, identity: Identity, buckets: Buckets): Edge {
  const { service, cors, gateway } = config
  const proxies = blocksOf(service.trusted_proxies)
  const allowed = blocksOf(service.allow_clients)
  const origins = cors.origins.map(toOriginPattern)
  return {
    serviceName: service.name,
    environment: service.environment,
    version: VERSION,
    loopbackOnly: isLoopback(service.host),
    originAllowed: origin => origins.some(pattern => pattern.test(origin)),
    corsCredentials: cors.credentials,
    bodyBytesMax: service.max_body,
    bodyTimeoutMs: BODY_TIMEOUT_MS,
    admits: allowed.length === 0 ? () => true : address => isIn(address, allowed),
    clientAddress: (peer, forwardedFor) => clientAddress(peer, forwardedFor, proxies),
    ...identity,
    buckets: buckets.ofCaller,
    fullHeaders: gateway.headers === 'full',
    keepAliveSeconds: Math.min(IDLE_SECONDS_MAX, service.keep_alive / 1000),
  }
}

function blocksOf(texts: readonly string[]): readonly Block[] {
  return texts.map(parseBlock).filter(block => block !== null)
}

/** Whether an address lies in one of the blocks; false for text that is no address. */
function isIn(address: string, blocks: readonly Block[]): boolean {
  const parsed = parseAddress(address)
  return parsed !== null && isInBlocks(parsed, blocks)
}

/** Every secret that a configuration holds: what must never appear in a log. */
export function secretsOf(config: Config): string[] {
  return [
    ...config.auth.keys.flatMap(key => [key.key, key.signing_secret ?? '']),
    ...config.auth.admin_keys,
    config.auth.jwt.secret ?? '',
    ...config.servers.flatMap(server => [...server.api_keys, ...Object.values(server.headers)]),
    ...config.servers.flatMap(({ proxy }) => passwordsOf(proxy ?? '')),
    ...Object.values(config.webhooks.secrets),
    ...config.webhooks.deliver.map(target => target.secret ?? ''),
    ...config.webhooks.deliver.map(({ url }) => url).filter(url => withoutPath(url) !== url),
    ...Object.values(config.orchestration.credentials),
    ...config.orchestration.register_with.map(({ api_key }) => api_key ?? ''),
    config.service.secret ?? '',
    ...[...(config.redis.url ?? []), config.database.url, config.vectors.url].flatMap(passwordsOf),
  ].filter(secret => secret !== '')
}

const SECRET_PARAMETER = /^[^=]*(?:pass|secret|token|key)[^=]*=(.+)$/i

/** The passwords in an address, from its credentials and its query; each as it is written and decoded. */
function passwordsOf(address: string): string[] {
  const { password = '', search = '' } = URL.parse(address) ?? {}
  const inQuery = search
    .slice(1)
    .split('&')
    .map(parameter => SECRET_PARAMETER.exec(parameter)?.[1] ?? '')
  return [password, ...inQuery].flatMap(written => [written, decodeURIComponent(written)])
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

/** Turns an allowed origin into a pattern: `http://localhost:*` allows every port, `https://*.example.com` every name
 * below, `moz-extension://*` every name of a scheme, `*` everything. */
function toOriginPattern(origin: string): RegExp {
  if (origin === '*') return /^/
  if (origin.endsWith('://*')) return new RegExp(`^${origin.slice(0, -1).replace(/[.+]/g, '\\$&')}[^/]*$`, 'i')
  const escaped = origin.replace(/[.+?^${}()|[\]\\]/g, '\\$&')
  const named = escaped.replace('//*\\.', '//(?:[a-z0-9-]+\\.)+')
  const port = named.endsWith(':*') ? `${named.slice(0, -2)}(?::\\d{1,5})?` : named
  return new RegExp(`^${port}$`, 'i')
}
