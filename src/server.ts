import type { Connection } from '#http/exchange.ts'
import { inUrl } from '#lib/net.ts'
import { closeListeningSocket } from './deafen.ts'
import { IDLE_SECONDS_MAX, SocketConnection } from './socket-connection.ts'

/** The listening server, as little of it as the rest needs. */
export interface Listener {
  /** Shows other certificates to connections that come from now on; those that are open go on as they are, until their
   * next answer or until they have been idle for long enough. Nothing is done where none come any more.
   *
   * @throws CannotListen when they, or the port, are not to be had; then those of before are shown on. */
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

/** The runtime looks for idle connections every few seconds only. */
const RETIRED_MORE_MS = 10_000

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
  const idleSeconds = Math.min(IDLE_SECONDS_MAX, Math.ceil(options.keepAliveSeconds))
  const serve = (port: number, tls: Tls | null) =>
    Bun.serve({
      hostname: host,
      port,
      reusePort: shared,
      ...(tls !== null && { tls: tlsOptions(tls) }),
      // Its error page would show source code to callers.
      development: false,
      idleTimeout: idleSeconds,
      // The edge has a limit of its own, and answers in its own words; the runtime's refusal has none.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      fetch: (request, server) => handle(request, new SocketConnection(request, server)),
      error: failed,
    })
  const open = (port: number, tls: Tls | null) => {
    try {
      return serve(port, tls)
    } catch (thrown) {
      throw toListenError(host, port, thrown)
    }
  }
  let tls = options.tls ?? null
  let server = open(options.port, tls)
  const port = server.port ?? options.port
  // Servers that take nothing new, but still have answers to finish.
  const leaving = new Set<typeof server>()
  let closed = false

  /** Lets a server take nothing new. To stop it closes idle connections, to which a client may just be sending: that is done
   * once each has either been told to close, or was idle for so long that it is gone. */
  function retire(old: typeof server): void {
    leaving.add(old)
    const stop = () => void old.stop().then(() => leaving.delete(old))
    if (closeListeningSocket(port)) {
      old.reload({
        fetch: async (request, self) => closing(await handle(request, new SocketConnection(request, self))),
        error: failed,
      })
      setTimeout(stop, idleSeconds * 1000 + RETIRED_MORE_MS).unref()
    } else stop()
  }

  return {
    url: `${tls === null ? 'http' : 'https'}://${inUrl(host)}:${port}`,
    port,
    renew(next) {
      if (closed) return
      // The runtime cannot give other certificates to a server that listens.
      retire(server)
      try {
        server = open(port, next)
        tls = next
      } catch (thrown) {
        server = open(port, tls)
        throw thrown
      }
    },
    async deafen() {
      closed = true
      closeListeningSocket(port)
    },
    async stop() {
      closed = true
      await Promise.all([...leaving, server].map(each => each.stop()))
    },
    kill: async () => void (await Promise.all([...leaving, server].map(each => each.stop(true)))),
  }
}

/** Says that the connection ends with this answer. */
function closing(response: Response): Response {
  response.headers.set('connection', 'close')
  return response
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

function failed(): Response {
  return Response.json({ error: INTERNAL }, { status: 500 })
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
