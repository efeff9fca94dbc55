import type { Clock } from '#core/clock.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import type { ListedModel, Model, Server, Target } from '#core/servers.ts'
import { PROVIDERS } from '#providers/index.ts'
import type { Outgoing } from '#providers/provider.ts'
import type { Incoming, Transport } from '#providers/transport.ts'
import type { Source } from '#registry/engines.ts'
import type { ProbeResult } from '#registry/health.ts'
import type { Ask } from './listing.ts'

const REPORT_TIMEOUT_MS = 10_000
/** The part of the time that a connection may take. It ends first, so that a server that cannot be reached, as behind a
 * firewall, is told from one that says nothing. */
const CONNECT_SHARE = 0.9
const ANSWER_BYTES_MAX = 4 * 1024 * 1024

/** How servers are asked. */
export interface AskDeps {
  readonly clock: Clock
  readonly transportFor: (server: Pick<Server, 'baseUrl' | 'origin'>) => Transport
}

/** Sends a message.
 *
 * @returns The HTTP status.
 * @throws when there is no answer in time. */
export type Post = (
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  timeoutMs: number,
) => Promise<number>

/** Creates the function that sends a small request to a server, bounded in time and size. */
export function createAsk(deps: AskDeps, origin: Server['origin']): Ask {
  return (outgoing, timeoutMs, signal) =>
    within(deps, origin, { outgoing, timeoutMs, signal }, async incoming => {
      const body = await incoming.text(ANSWER_BYTES_MAX)
      incoming.close()
      return { status: incoming.head.status, header: incoming.head.header, body }
    })
}

/** Creates the function that sends a message whose answer says all by its status. The rest is read for the sake of the
 * connection alone: who has taken a message may say of it what he likes, and as long as he likes. */
export function createPost(deps: AskDeps, origin: Server['origin']): Post {
  return (url, headers, body, timeoutMs) =>
    within(deps, origin, { outgoing: { method: 'POST', url, headers, body: [body] }, timeoutMs }, async incoming => {
      await incoming.text(ANSWER_BYTES_MAX).catch(() => '')
      incoming.close()
      return incoming.head.status
    })
}

/** Sends a request, and takes its answer in the time that is left. */
async function within<T>(
  { clock, transportFor }: AskDeps,
  origin: Server['origin'],
  request: { readonly outgoing: Outgoing; readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
  take: (incoming: Incoming) => Promise<T>,
): Promise<T> {
  const { outgoing, timeoutMs, signal } = request
  const scope = createScope(clock, { within: timeoutMs, code: 'upstream_timeout' })
  const stop = () => scope.cancel(new GatewayError('upstream_timeout', 'The model server did not answer in time.'))
  signal?.addEventListener('abort', stop, { once: true })
  try {
    const clocks = { connect: timeoutMs * CONNECT_SHARE, first_byte: timeoutMs, idle: timeoutMs }
    return await take(await transportFor({ baseUrl: outgoing.url, origin })(outgoing, scope, clocks))
  } finally {
    scope.close()
    signal?.removeEventListener('abort', stop)
  }
}

/** Probes a server: whether it answers, and if not, why. */
export async function probe(server: Server, signal: AbortSignal, clock: Clock, ask: Ask): Promise<ProbeResult> {
  const startedAt = clock.now()
  const result = (ok: boolean, reason: string | null): ProbeResult => ({
    ok,
    latencyMs: clock.now() - startedAt,
    reason,
  })
  const provider = PROVIDERS.get(server.kind)
  const own = server.own?.healthUrl ?? null
  const plain = { method: 'GET' as const, url: own ?? server.baseUrl, headers: server.headers, body: null }
  const questions = own !== null ? [plain] : (provider?.catalog.probes(server) ?? [plain])
  try {
    for (const question of questions) {
      const { status } = await ask(question, server.timeouts.first_byte, signal)
      if (status === 404 && question !== questions.at(-1)) continue
      if (status >= 200 && status < 400) return result(true, null)
      if (status === 401 || status === 403) return result(false, 'it refuses the credentials')
      return result(false, `it answers HTTP ${status}`)
    }
    return result(false, 'it knows none of the paths that are probed')
  } catch (thrown) {
    return result(false, reasonOf(toGatewayError(thrown)))
  }
}

/** The models of a registered server: those it named at registration, else those it lists. */
export async function listOf(
  server: Server,
  list: (server: Server) => Promise<readonly ListedModel[]>,
): Promise<readonly ListedModel[]> {
  const said = server.own?.models ?? null
  if (said === null) return list(server)
  return said.map(id => ({ id, contextLength: null, created: 0, ownedBy: null, embedding: false }))
}

/** Where a server of this kind may publish how busy it is. */
export function sourcesOf({ kind }: Server, ask: Ask): readonly Source[] {
  const reports = PROVIDERS.get(kind)?.catalog.reports ?? []
  return reports.map(report => async server => {
    const { status, body } = await ask(report.ask(server, server.secrets[0] ?? null), REPORT_TIMEOUT_MS)
    return status === 200 ? report.decode(body) : null
  })
}

/** Has a server load a model; `null` when its kind does not load models on demand. */
export function load({ server, upstreamModel, timeouts }: Target, model: Model, ask: Ask): Promise<void> | null {
  const outgoing = PROVIDERS.get(server.kind)?.catalog.load?.(
    server,
    server.secrets[0] ?? null,
    upstreamModel,
    model.class === 'embedding',
  )
  if (outgoing === undefined) return null
  return ask(outgoing, timeouts.total).then(({ status }) => {
    if (status !== 200) throw new Error(`the server answers HTTP ${status}`)
  })
}

function reasonOf(error: GatewayError): string {
  if (error.code === 'upstream_timeout') return 'it does not answer in time'
  if (error.code === 'upstream_tls_error') return 'its TLS certificate is not trusted'
  return error.code === 'upstream_error' ? 'it cannot be reached' : 'its answer could not be read'
}
