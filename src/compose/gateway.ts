import type { AuthMode } from '#access/keys.ts'
import type { Environment } from '#config/env.ts'
import type { Origins } from '#config/origins.ts'
import type { Config } from '#config/schema.ts'
import type { Clock } from '#core/clock.ts'
import type { Pressure } from '#gateway/limits/overload.ts'
import type { GatewayFetch } from '#http/app.ts'
import type { Services } from '#http/services.ts'
import type { Lookup } from '#providers/transport/names.ts'
import type { Transport } from '#providers/transport.ts'
import type { FleetReport } from './report.ts'
import type { Keys } from './state.ts'
import type { WorkerPlace } from './workers.ts'

/** The parts that another host, or a test, supplies instead. */
export interface Overrides {
  readonly clock?: Clock
  readonly random?: () => number
  /** The transport to every server but the demo. */
  readonly transport?: Transport
  /** Resolves the names of servers that register themselves. */
  readonly lookup?: Lookup
  /** The environment: keys of providers where nothing is configured, and the user's folders for state (default: none,
   * so that state is kept in memory). */
  readonly env?: Environment
  /** Takes log lines (default: none are written). */
  readonly write?: (text: string) => void
  /** Writes log lines for people instead of JSON. */
  readonly pretty?: boolean
  /** Gives the load of the process (default: it is measured). */
  readonly pressure?: () => Pressure
  /** Where each value of the configuration was written. */
  readonly origins?: Origins
  /** Reads the configuration again and passes it to `reload`.
   *
   * @throws GatewayError `invalid_request` when the configuration is wrong. */
  readonly reload?: Services['settings']['reload']
  /** The address on which this gateway listens, so that it does not discover itself. */
  readonly own?: () => { readonly host: string; readonly port: number } | null
  /** When the certificate that clients are shown expires, in epoch milliseconds; `null` where there is none. */
  readonly certificateEnds?: () => number | null
  /** Its place among several workers on one port (default: it is the only one). */
  readonly worker?: WorkerPlace
}

/** A gateway: the handler, and what a host needs to run it. */
export interface Gateway {
  readonly fetch: GatewayFetch
  /** Resolves when the first look for servers and their models is over. */
  readonly looked: Promise<unknown>
  /** What the first look for servers has found; resolves after a short wait, whether or not all have answered. */
  readonly found: Promise<FleetReport>
  /** What has changed when all servers have answered and were probed; `null` when `found` was complete. */
  readonly later: Promise<FleetReport | null>
  metrics(): Promise<{ readonly text: string; readonly contentType: string }>
  readonly firstKey: Keys['firstKey']
  /** Whether callers need a key now. */
  authMode(): AuthMode
  /** Takes over a new configuration; requests under way keep the one with which they began.
   *
   * @param env The environment now (default: as before). */
  reload(config: Config, origins?: Origins, env?: Environment): void
  reloadFailed(message: string): void
  warn(message: string): void
  /** Says in the log where it listens. */
  started(url: string): void
  fail(message: string, thrown: unknown): void
  /** Reports "not ready" from now on, and still serves. */
  drain(): void
  /** Closes connections after their next answer, and still serves: another process serves the port by now, and clients
   * connect to it. */
  leave(): void
  /** Resolves when no request is under way. */
  idle(): Promise<void>
  /** Ends all requests under way; streams get an error that says that the gateway shuts down. */
  abort(): void
  close(): Promise<void>
}
