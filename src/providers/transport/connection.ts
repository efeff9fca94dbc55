import type { Socket } from 'bun'
import type { GatewayError } from '#core/errors.ts'
import { toGatewayError } from '#core/errors.ts'
import { createTurnEnd } from '#lib/turn.ts'
import { connectionFailed, handshakeFailed, notConnected } from './errors.ts'
import { HANDLERS, takeOver } from './handlers.ts'
import { ResponseParser, type Sink } from './parser.ts'
import type { Pool } from './pool.ts'
import type { Message } from './request.ts'
import { tlsFor } from './tls.ts'
import { Tunnel } from './tunnel.ts'

/** How long a socket is silent before TCP asks whether the other side is still there. */
const KEEP_ALIVE_MS = 60_000

/** The user of a connection for one request. */
export interface User extends Sink {
  /** The connection stands, and is this user's. */
  onReady(connection: Connection): void
  /** The rest of a request has been written that the socket did not take at once. */
  onWritten(): void
  /** The connection ended before the answer did.
   *
   * @param error What the request fails with, unless it is sent again. */
  onLost(error: GatewayError): void
}

/** One socket, for one request at a time. */
export class Connection {
  /** Whether it has served before: it may then be closed only because the server kept it for long enough. */
  reused = false
  /** Whether a byte of the present answer has come. */
  heard = false
  /** Monotonic milliseconds from which it is no longer to be trusted. */
  idleUntil = 0
  private readonly pool: Pool
  private readonly parser = new ResponseParser()
  private socket: Socket<unknown> | null = null
  private user: User | null
  private closed = false
  /** The way through a proxy, while it is being made. */
  private tunnel: Tunnel | null = null
  /** Stops the dialling that is under way. */
  private hangUp: (() => void) | null = null
  private paused = false
  /** Whether it was taken from the pool for a request that has not been written yet. */
  private lent = false
  /** Bytes that arrived in this turn of the event loop and are not parsed yet. */
  private inbox: Buffer[] = []
  /** Bytes that the socket has not accepted yet. */
  private pending: Buffer | null = null

  constructor(pool: Pool, user: User) {
    this.pool = pool
    this.user = user
  }

  /** Whether it can serve. One to which bytes came while it was idle cannot: they answer nothing that is asked now. */
  get alive(): boolean {
    return !this.closed && this.inbox.length === 0 && this.socket?.readyState === 1
  }

  open(): void {
    const { origin, guard, proxy, dial } = this.pool
    if (proxy !== null) {
      this.tunnel = new Tunnel(origin, proxy, this)
      this.tunnel.open(proxy, dial)
    } else if (guard === undefined) this.dial(origin.hostname)
    else
      guard(origin.hostname).then(
        address => {
          if (!this.closed) this.dial(address)
        },
        thrown => this.lose(notConnected('unreachable', thrown)),
      )
  }

  private dial(host: string): void {
    const { origin, trust, dial } = this.pool
    const { port } = origin
    const tls = origin.secure ? { tls: tlsFor(origin, trust) } : {}
    this.hangUp = dial(host, {
      connect: hostname => Bun.connect<Connection>({ hostname, port, data: this, socket: HANDLERS, ...tls }),
      failed: error => this.lose(error),
    })
  }

  /** There is a way through the proxy. */
  through(socket: Socket<Tunnel>): void {
    this.tunnel = null
    const { origin, trust } = this.pool
    try {
      if (origin.secure) socket.upgradeTLS<Connection>({ data: this, tls: tlsFor(origin, trust), socket: HANDLERS })
      else takeOver(socket, this)
    } catch (thrown) {
      // No connection owns the socket yet, so that nobody else would close it.
      socket.close()
      this.lose(notConnected('unusable', thrown))
    }
  }

  failed(error: GatewayError): void {
    this.lose(error)
  }

  /** Gives an idle connection to a user. */
  lend(user: User): void {
    this.user = user
    // Reset here too, and not only in `send`: the connection may end before the request is written.
    this.heard = false
    this.lent = true
  }

  /** Sends a request; the answer goes to the user. */
  send(method: string, { bytes, start, end }: Message): void {
    this.lent = false
    // Bytes from before the request are not its answer: some servers send something before they close an idle
    // connection.
    if (this.reused && this.inbox.length > 0) {
      this.lose(connectionFailed('closed'))
      return
    }
    this.parser.begin(method)
    this.heard = false
    const written = this.socket?.write(bytes, start, end - start) ?? -1
    if (written < 0) this.lose(connectionFailed('closed'))
    else if (written < end - start) this.pending = Buffer.from(bytes.subarray(start + written, end))
  }

  pause(): void {
    if (this.paused) return
    this.paused = true
    this.socket?.pause()
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.socket?.resume()
  }

  /** The answer has been read to its end: the connection serves again, or is closed. */
  release(): void {
    this.user = null
    if (!this.reused && this.pool.origin.secure) this.pool.session = sessionOf(this.socket)
    this.reused = true
    this.resume()
    if (this.parser.persistent && this.pending === null && this.alive) {
      this.pool.keep(this, this.parser.keepAliveMs)
    } else this.close()
  }

  /** Closes the socket at once, without telling the user. */
  close(): void {
    if (this.closed) return
    this.closed = true
    this.user = null
    this.pending = null
    this.pool.forget(this)
    this.hangUp?.()
    this.tunnel?.close()
    this.socket?.close()
  }

  /** Ends the current request with an error, and tells the user. */
  lose(error: GatewayError): void {
    const { user } = this
    this.close()
    user?.onLost(error)
  }

  /** Whether a socket is this connection's. Addresses of a name are dialled one after the other, and the first that connects is it. */
  owns(socket: Socket<unknown>): boolean {
    return this.socket === socket
  }

  opened(socket: Socket<unknown>): void {
    if (this.closed || this.socket !== null) return void socket.close()
    this.socket = socket
    this.hangUp = null
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    if (!this.pool.origin.secure) this.user?.onReady(this)
    else if (this.pool.session !== null) socket.setSession(this.pool.session)
  }

  secured(error: Error | null): void {
    if (error !== null) {
      this.pool.session = null
      this.lose(handshakeFailed(error))
    } else this.user?.onReady(this)
  }

  received(bytes: Buffer): void {
    this.heard = !this.lent
    if (this.inbox.push(bytes) === 1) readAtTurnEnd(this)
  }

  /** Parses the bytes that have arrived. */
  read(): void {
    const { inbox } = this
    if (inbox.length === 0 || this.lent) return
    this.inbox = []
    try {
      for (const bytes of inbox) {
        // Bytes that no request has asked for: the connection cannot be trusted any more.
        if (this.user === null) this.close()
        else this.parser.push(bytes, this.user)
      }
    } catch (thrown) {
      this.lose(toGatewayError(thrown))
    }
  }

  drained(): void {
    const { pending } = this
    if (pending === null) return
    const written = this.socket?.write(pending) ?? -1
    if (written < 0) this.lose(connectionFailed('closed'))
    else if (written < pending.length) this.pending = pending.subarray(written)
    else {
      this.pending = null
      this.user?.onWritten()
    }
  }

  /** The other side has closed, or the socket has failed. */
  ended(error: Error | null): void {
    this.read()
    if (this.closed) return
    const whole = error === null && this.user !== null && this.parser.finish(this.user)
    if (!whole) this.lose(connectionFailed(this.heard && this.parser.answering ? 'truncated' : 'closed', error))
  }
}

/** The TLS session that the next connection takes up, so that its handshake is shorter. It is asked for once an answer has
 * come, because the server's ticket has come by then. The runtime's types say that it returns nothing. */
function sessionOf(socket: Socket<unknown> | null): Buffer | null {
  const session: unknown = socket?.getSession()
  return Buffer.isBuffer(session) ? session : null
}

const readAtTurnEnd = createTurnEnd<Connection>(connections => {
  for (const connection of connections) connection.read()
})
