import type { Clock } from '#core/clock.ts'
import { Connection, type User } from './connection.ts'
import type { Dial } from './dial.ts'
import { connectionFailed } from './errors.ts'
import type { Guard } from './guard.ts'
import type { Origin } from './place.ts'
import type { Trust } from './tls.ts'
import type { ProxyServer } from './tunnel.ts'

/** A server says how long it waits, and the request needs time to get there. */
const MARGIN_MS = 1000

/** How connections are kept. */
export interface PoolOptions {
  readonly clock: Clock
  readonly trust: Trust
  readonly idleMax: number
  readonly idleMs: number
  /** Decides which address a name is dialled at; all of the name's are when absent. */
  readonly guard?: Guard | undefined
  /** The proxy for all connections; `null` = none. */
  readonly proxy: ProxyServer | null
  readonly dial: Dial
}

/** The connections to one origin. The one that was used last is used first, so that those not needed grow old. */
export class Pool {
  readonly origin: Origin
  /** Whether no connection is to be opened any more. */
  closed = false
  /** The TLS session that the next connection takes up again. */
  session: Buffer | null = null
  private readonly options: PoolOptions
  private readonly all = new Set<Connection>()
  private readonly idle: Connection[] = []
  private disarm: (() => void) | null = null

  constructor(origin: Origin, options: PoolOptions) {
    this.origin = origin
    this.options = options
  }

  get trust(): Trust {
    return this.options.trust
  }

  get dial(): Dial {
    return this.options.dial
  }

  get proxy(): ProxyServer | null {
    return this.options.proxy
  }

  get guard(): Guard | undefined {
    return this.options.guard
  }

  /** Sockets that are open or being opened, and those of them that wait for work. */
  get counts(): { readonly open: number; readonly idle: number } {
    return { open: this.all.size, idle: this.idle.length }
  }

  /** Finds an idle connection that can be used. */
  take(user: User): Connection | null {
    if (this.idle.length === 0) return null
    const now = this.options.clock.now()
    for (let last = this.idle.pop(); last !== undefined; last = this.idle.pop()) {
      if (last.alive && last.idleUntil > now) {
        last.lend(user)
        return last
      }
      last.close()
    }
    return null
  }

  /** Opens a connection; the user hears when it stands. */
  open(user: User): Connection {
    const connection = new Connection(this, user)
    this.all.add(connection)
    connection.open()
    return connection
  }

  /** Takes a connection back that has done its work. */
  keep(connection: Connection, keepAliveMs: number | null): void {
    const { clock, idleMax, idleMs } = this.options
    const ms = keepAliveMs === null ? idleMs : Math.min(idleMs, keepAliveMs - MARGIN_MS)
    if (ms <= 0 || this.idle.length >= idleMax) {
      connection.close()
      return
    }
    connection.idleUntil = clock.now() + ms
    this.idle.push(connection)
    this.disarm ??= clock.after(ms, () => this.sweep())
  }

  /** A connection has closed. */
  forget(connection: Connection): void {
    this.all.delete(connection)
    const at = this.idle.lastIndexOf(connection)
    if (at >= 0) this.idle.splice(at, 1)
  }

  close(): void {
    this.closed = true
    this.disarm?.()
    this.disarm = null
    for (const connection of [...this.all]) connection.lose(connectionFailed('closed'))
  }

  private sweep(): void {
    this.disarm = null
    const { clock } = this.options
    const now = clock.now()
    for (const connection of [...this.idle]) if (connection.idleUntil <= now) connection.close()
    const next = this.idle.reduce((soonest, { idleUntil }) => Math.min(soonest, idleUntil), Infinity)
    if (next < Infinity) this.disarm = clock.after(next - now, () => this.sweep())
  }
}
