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

/** What another host, or a test, supplies instead. */
export interface Overrides {
  readonly clock?: Clock
  readonly random?: () => number
  /** Talks to every server but the demo. */
  readonly transport?: Transport
  /** Resolves the names of servers that register themselves. */
  readonly lookup?: Lookup
  /** Where provider keys are looked for when nothing is configured, and the folders of the user, where state is kept
   * (default: nowhere, so that state is kept in memory). */
  readonly env?: Environment
  /** Takes log lines (default: none are written). */
  readonly write?: (text: string) => void
  /** Log lines for people instead of JSON. */
  readonly pretty?: boolean
  /** How hard the process has it (default: it is measured). */
  readonly pressure?: () => Pressure
  /** Where each value of the configuration was written. */
  readonly origins?: Origins
  /** Reads the configuration again and hands it to `reload`.
   *
   * @throws GatewayError `invalid_request` where it is wrong. */
  readonly reload?: Services['settings']['reload']
  /** Where this gateway listens, so that it never finds itself. */
  readonly own?: () => { readonly host: string; readonly port: number } | null
  /** When the certificate ends that clients are shown, in epoch milliseconds; `null` where there is none. */
  readonly certificateEnds?: () => number | null
  /** Its place among several workers on one port (default: it is the only one). */
  readonly worker?: WorkerPlace
}

/** A gateway: the handler, and what a host needs to run it. */
export interface Gateway {
  readonly fetch: GatewayFetch
  /** What the first look around found; resolves soon, whether or not everybody has answered. */
  readonly found: Promise<FleetReport>
  /** What is different once everybody has answered; `null` when `found` said it all. */
  readonly later: Promise<FleetReport | null>
  metrics(): Promise<{ readonly text: string; readonly contentType: string }>
  readonly firstKey: Keys['firstKey']
  /** Whether callers need a key now. */
  authMode(): AuthMode
  /** Takes a new configuration; requests under way keep the one they started with.
   *
   * @param env What is in the environment now (default: what was). */
  reload(config: Config, origins?: Origins, env?: Environment): void
  reloadFailed(message: string): void
  warn(message: string): void
  fail(message: string, thrown: unknown): void
  /** Says "not ready" from now on, and still serves. */
  drain(): void
  /** Lets clients connect anew for their next requests, and still serves: another process has the port by now. */
  leave(): void
  /** Resolves when no request is under way. */
  idle(): Promise<void>
  /** Ends what is under way; streams are told that the gateway shuts down. */
  abort(): void
  close(): Promise<void>
}
