import type { Server } from 'bun'
import type { Connection } from '#http/exchange.ts'

/** The listening server, as little of it as the rest needs. */
export interface Listener {
  /** Shows other certificates to connections that come from now on; those that are open go on as they are. Nothing is done
   * where none come any more.
   *
   * @throws CannotListen when the port is lost in the blink in which it is closed. */
  renew(tls: Tls): void
  readonly url: string
  readonly port: number
  /** Takes no new connection, and goes on with all that are open, idle ones too. What was connected and has sent nothing
   * yet goes to the other processes on this port where the system moves it (`net.ipv4.tcp_migrate_req`). Nothing is done
   * where the system has no such way. */
  deafen(): Promise<void>
  /** Takes no new connection; resolves when those that are open have ended. */
  stop(): Promise<void>
  /** Cuts what is still open. */
  kill(): Promise<void>
}

/** The port that was asked for is taken. */
export class PortTaken extends Error {
  readonly port: number
  readonly nextFree: number | null

  constructor(port: number, nextFree: number | null) {
    super(`port ${port} is in use${nextFree === null ? '' : `; ${nextFree} is free`}`)
    this.name = 'PortTaken'
    this.port = port
    this.nextFree = nextFree
  }
}

/** The address cannot be listened on at all. */
export class CannotListen extends Error {
  constructor(host: string, port: number, thrown: unknown) {
    const code = String((thrown as { code?: unknown }).code)
    const [why, remedy] = REASONS[code] ?? [code, OTHER_HOST]
    super(`cannot listen on ${host}, port ${port}: ${why}. ${remedy}`, { cause: thrown })
    this.name = 'CannotListen'
  }
}

const OTHER_HOST = 'Set service.host or --host to an address of this machine'

const REASONS: Readonly<Record<string, readonly [why: string, remedy: string]>> = {
  EADDRNOTAVAIL: ['this machine does not have that address', OTHER_HOST],
  EINVAL: ['that is no address of this machine', OTHER_HOST],
  ENOTFOUND: ['no such host is known', OTHER_HOST],
  EACCES: [
    'this user may not use that port',
    'Set service.port or --port to one above 1023, behind a proxy if need be',
  ],
}

/** What https is served with. */
export interface Tls {
  readonly cert: string
  readonly key: string
  /** Only clients with a certificate of this authority get in; `null` = all do. */
  readonly ca: string | null
}

/** The longest idle time that the runtime knows, in seconds. */
const IDLE_SECONDS_MAX = 255

/** Listens on an address and hands each request to `handle`.
 *
 * @throws PortTaken when another process has the port. */
export function listen(options: {
  readonly host: string
  readonly port: number
  readonly keepAliveSeconds: number
  /** `null` = plain http. */
  readonly tls?: Tls | null
  /** Whether other processes of this user may listen on the same port. */
  readonly shared?: boolean
  readonly handle: (request: Request, connection: Connection) => Promise<Response>
}): Listener {
  const { host, handle, shared = false } = options
  const serve = (port: number, tls: Tls | null) =>
    Bun.serve({
      hostname: host,
      port,
      reusePort: shared,
      ...(tls !== null && { tls: tlsOptions(tls) }),
      // Its error page would show source code to callers.
      development: false,
      idleTimeout: Math.min(IDLE_SECONDS_MAX, Math.ceil(options.keepAliveSeconds)),
      // The edge has a limit of its own, and answers in its own words; the runtime's refusal has none.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      fetch: (request, server) => handle(request, new SocketConnection(request, server)),
      error: () => Response.json({ error: INTERNAL }, { status: 500 }),
    })
  const open = (port: number, tls: Tls | null) => {
    try {
      return serve(port, tls)
    } catch (thrown) {
      throw toListenError(host, port, thrown)
    }
  }
  const tls = options.tls ?? null
  let server = open(options.port, tls)
  const port = server.port ?? options.port
  // Servers that take nothing new, but still have answers to finish.
  const leaving = new Set<typeof server>()
  let closed = false
  return {
    url: `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    renew(next) {
      if (closed) return
      // The runtime cannot give other certificates to a server that listens.
      const old = server
      leaving.add(old)
      void old.stop().then(() => leaving.delete(old))
      server = open(port, next)
    },
    async deafen() {
      closed = true
      ;(await import('./deafen.ts')).closeListeningSocket(port)
    },
    async stop() {
      closed = true
      await Promise.all([...leaving, server].map(each => each.stop()))
    },
    kill: async () => void (await Promise.all([...leaving, server].map(each => each.stop(true)))),
  }
}

function tlsOptions({ cert, key, ca }: Tls): Bun.TLSOptions {
  // Without `requestCert` an authority alone asks for nothing.
  return { cert, key, ...(ca !== null && { ca, requestCert: true, rejectUnauthorized: true }) }
}

function toListenError(host: string, port: number, thrown: unknown): Error {
  const code = (thrown as { code?: unknown }).code
  if (code === 'EADDRINUSE') return new PortTaken(port, nextFreePort(host, port + 1))
  return new CannotListen(host, port, thrown)
}

const INTERNAL = {
  message: 'The gateway failed while it handled this request.',
  type: 'server_error',
  param: null,
  code: 'internal_error',
}

class SocketConnection implements Connection {
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

/** Finds out whether a port is free, and which one where any will do: processes that share it would not notice that others
 * who share theirs have it.
 *
 * @returns The port.
 * @throws PortTaken, CannotListen */
export function claimPort(host: string, port: number): number {
  try {
    const probe = Bun.listen({ hostname: host, port, socket: { data() {} } })
    probe.stop(true)
    return probe.port
  } catch (thrown) {
    throw toListenError(host, port, thrown)
  }
}

function nextFreePort(host: string, from: number): number | null {
  for (let port = from; port < Math.min(from + 100, 65_536); port++) {
    try {
      const probe = Bun.listen({ hostname: host, port, socket: { data() {} } })
      probe.stop(true)
      return port
    } catch {}
  }
  return null
}
