import { createGateway, type Gateway, type Overrides } from '#src/index.ts'
import { type Listener, listen } from '#src/server.ts'
import { createDrain, type Drain } from './drain.ts'
import { serveMetrics } from './metrics-port.ts'
import type { Settled } from './options.ts'
import { readTls, tlsRenewal, untimely } from './tls.ts'

/** A gateway that listens. */
export interface Serving {
  readonly gateway: Gateway
  readonly listener: Listener
  readonly drain: Drain
  /** Takes over another configuration.
   *
   * @throws TlsUnusable when its certificates cannot be used; then nothing is changed. */
  take(next: Settled): void
}

/** Creates the gateway of a configuration and listens.
 *
 * @param options.prepare Awaited before it listens.
 * @param options.onRequest Called for every request.
 * @param options.before Called before this process ends, to stop what would disturb that.
 * @throws TlsUnusable, PortTaken, CannotListen */
export async function serve(
  settled: Settled,
  options: Pick<Overrides, 'reload' | 'worker'> & {
    readonly write: (text: string) => void
    readonly prepare?: (gateway: Gateway) => Promise<void>
    readonly onRequest?: () => void
    readonly before?: () => void
  },
): Promise<Serving> {
  const { config } = settled
  const { service } = config
  const { prepare, onRequest, before = () => {}, ...overrides } = options
  const shared = options.worker !== undefined
  let listener: Listener | null = null
  let certificateEnds: number | null = null
  const gateway = createGateway(config, {
    ...overrides,
    env: settled.env,
    pretty: process.stdout.isTTY === true,
    origins: settled.origins,
    certificateEnds: () => certificateEnds,
    own() {
      const port = listener?.port ?? service.port
      // With port 0 the system chooses a port, which is known once the process listens.
      return port === 0 ? null : { host: service.host, port }
    },
  })
  // One stray rejection must not end every stream that is open.
  process.on('unhandledRejection', reason => gateway.fail('unhandled rejection', reason))
  process.on('uncaughtException', error => gateway.fail('uncaught exception', error))
  if (prepare !== undefined) await prepare(gateway)
  listener = listen({
    host: service.host,
    port: service.port,
    keepAliveSeconds: service.keep_alive / 1000,
    tls: service.tls === null ? null : readTls(service.tls),
    shared,
    handle: onRequest === undefined ? gateway.fetch : counted(gateway.fetch, onRequest),
  })
  const metricsListener = serveMetrics(config.monitoring.prometheus_port, service.host, gateway, shared)
  const renewTls = tlsRenewal(config, listener, (validity, file) => {
    certificateEnds = validity.until
    const problem = untimely(validity, file, Date.now())
    if (problem !== null && options.worker?.crew.leads() !== false) gateway.warn(problem)
  })
  const stopMetrics = () => {
    before()
    metricsListener?.stop()
  }
  return {
    gateway,
    listener,
    drain: createDrain({ gateway, listener, config, before: stopMetrics }),
    take(next) {
      renewTls(next.config)
      gateway.reload(next.config, next.origins, next.env)
    },
  }
}

function counted(fetch: Gateway['fetch'], onRequest: () => void): Gateway['fetch'] {
  return (request, connection) => {
    onRequest()
    return fetch(request, connection)
  }
}
