import type { Server } from 'bun'
import type { Connection } from '#http/exchange.ts'

/** The longest idle time that the runtime knows, in seconds. */
export const IDLE_SECONDS_MAX = 255

/** The connection of one request, as the runtime shows it. */
export class SocketConnection implements Connection {
  /** Let go of when it is done: the connection itself is looked at once more. */
  private request: Request | null
  private readonly server: Server<undefined>
  private leave: (() => void) | null = null

  constructor(request: Request, server: Server<undefined>) {
    this.request = request
    this.server = server
  }

  get address(): string {
    return this.request === null ? '' : (this.server.requestIP(this.request)?.address ?? '')
  }

  idle(seconds: number): void {
    if (this.request === null) return
    this.server.timeout(this.request, Math.min(IDLE_SECONDS_MAX, Math.ceil(seconds)))
  }

  onLeave(leave: () => void): void {
    this.leave = leave
    watchSoon(this)
  }

  done(): void {
    this.leave = null
    this.request = null
  }

  /** Looks whether the client is there, and from now on hears when it leaves. */
  watch(): void {
    if (this.leave === null || this.request === null) return
    const { signal } = this.request
    if (signal.aborted) this.leave()
    else signal.addEventListener('abort', () => this.leave?.(), { once: true })
  }
}

/** The signal of a request costs as much as a tenth of a short request's whole way, so that only those get one that
 * take longer than this, in milliseconds; twice as long at most. Who left before is seen then. */
const WATCH_MS = 10

const watchSoon = createWatch()

function createWatch(): (connection: SocketConnection) => void {
  let young: SocketConnection[] = []
  let old: SocketConnection[] = []
  let armed = false

  function look(): void {
    for (const connection of old) connection.watch()
    old = young
    young = []
    armed = old.length > 0
    if (armed) setTimeout(look, WATCH_MS)
  }

  return connection => {
    young.push(connection)
    if (armed) return
    armed = true
    setTimeout(look, WATCH_MS)
  }
}
