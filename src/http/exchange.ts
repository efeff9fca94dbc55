import type { MiddlewareHandler } from 'hono'
import type { Caller } from '#core/caller.ts'
import type { Bucket } from '#core/limiter.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Scope } from '#core/scope.ts'
import type { Placed } from '#lib/passing.ts'
import type { Edge } from './edge.ts'

/** What the server knows of the connection that a request came on; all that a test has to supply. */
export interface Connection {
  /** The peer's address; empty when unknown. */
  readonly address: string
  /** Sets how long the connection may be silent, in seconds; 0 = for ever. */
  idle(seconds: number): void
  /** Calls `leave` soon after the client has left, until the request is done. */
  onLeave(leave: () => void): void
  done(): void
}

/** One request on its way through the edge. Hono carries it as its bindings. */
export interface Exchange extends Placed {
  readonly request: Request
  readonly connection: Connection
  readonly record: RequestRecord
  /** The edge's settings as they were when the request came. */
  readonly edge: Edge
  /** Ends when the client leaves. */
  readonly scope: Scope
  /** The headers that every answer to this request carries; steps add to them before there is an answer. */
  readonly headers: Record<string, string>
  /** Who asks; set by `authenticate`. */
  caller: Caller | null
  /** The body, when a step has read it before the handler. */
  text: string | null
  /** Whether the connection is kept from being closed as idle. */
  idleTimeoutDisabled: boolean
  /** What the request has taken from; it gives its leases back when it is over. */
  held: readonly Bucket[] | null
  /** Whether the answer goes on after the handler has returned. */
  streaming: boolean
}

export type Env = { Bindings: Exchange }

/** What a handler reads of Hono's context: all that has to be made for a request that needs no Hono. */
export interface GatewayContext {
  readonly env: Exchange
  readonly req: {
    readonly path: string
    /** A part of the path that the route has a name for. */
    param(name: string): string | undefined
  }
}

export type Middleware = (c: GatewayContext, next: () => Promise<void>) => ReturnType<MiddlewareHandler>
export type Handler = (c: GatewayContext) => Response | Promise<Response>
