import type { Scope } from '#core/scope.ts'
import type { Timeouts } from '#core/servers.ts'
import type { Head, Outgoing } from './provider.ts'

/** The clocks that the transport itself watches, in milliseconds. */
export type Clocks = Pick<Timeouts, 'connect' | 'first_byte' | 'idle'>

/** Takes from the beginning of the bytes between `start` and `end` what it can, and keeps nothing else of them.
 *
 * @returns The position behind what it took. */
export type Taker = (bytes: Buffer, start: number, end: number) => number

/** An answer whose head has arrived. */
export interface Incoming {
  readonly head: Head
  /** The next bytes of the body; `null` at its end.
   *
   * @throws GatewayError `upstream_error` when the body broke off. */
  read(): Promise<Uint8Array | null>
  /** The whole body as text.
   *
   * @throws GatewayError `upstream_invalid_response` past `bytesMax`, `upstream_idle_timeout` past the idle clock. */
  text(bytesMax: number): Promise<string>
  /** Shows each piece of the body that somebody waits for to `taker` first, or to nobody any more (`null`); absent where
   * pieces are not what came. */
  divert?(taker: Taker | null): void
  /** Stops the answer and closes its connection unless the body was read to its end. */
  close(): void
}

/** The one way upstream. Never follows redirects, never sends what the caller's client sent.
 *
 * @throws GatewayError `upstream_error` (refused, reset, unknown host), `upstream_tls_error`, `upstream_timeout`; the
 * scope's cause when the scope ended. */
export type Transport = (outgoing: Outgoing, scope: Scope, clocks: Clocks) => Promise<Incoming>
