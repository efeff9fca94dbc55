import { createServer } from 'node:net'
import { type RecordedRequest, type Script, serveConnection } from '#tests/support/upstream-connection.ts'

// One import for a test: the upstream and all that it can be told to do.
export * from '#tests/support/steps.ts'
export * from '#tests/support/stream-steps.ts'
export type { RecordedRequest, Script } from '#tests/support/upstream-connection.ts'

/** A scripted upstream that listens on loopback. */
export interface Upstream {
  readonly url: string
  readonly port: number
  readonly requests: readonly RecordedRequest[]
  /** Connections accepted so far. */
  readonly connections: number
  openSockets(): number
  /** Resolves with the n-th request (from 1) as soon as it is in. */
  received(n: number): Promise<RecordedRequest>
  /** Resolves when no connection is open. */
  allClosed(): Promise<void>
  /** Cuts every connection and stops listening; the port then refuses connections. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** How an upstream listens and writes. */
export interface UpstreamOptions {
  /** Default 0: any free port. */
  readonly port?: number
  /** Default 127.0.0.1. */
  readonly hostname?: string
  /** What separates two writes (default `turn`). `turn`: the event loop turns, so that a client in this loop reads each
   * alone. `confirmed`: the kernel says that the client, in whatever thread or process, has read the last one; this
   * costs some milliseconds a write, and works on Linux only. */
  readonly reads?: 'turn' | 'confirmed'
}

/** Starts an upstream that does what a script says, byte by byte, on real sockets.
 *
 * @param script Steps for every request, or a function that looks at the request first. */
export async function startUpstream(script: Script, options: UpstreamOptions = {}): Promise<Upstream> {
  const requests: RecordedRequest[] = []
  const open = new Set<() => void>()
  const watchers = createWatchers()
  let connections = 0
  const server = createServer({ noDelay: true }, socket => {
    connections++
    const onClose = () => {
      open.delete(drop)
      watchers.changed()
    }
    const serving = { number: connections, script, reads: options.reads ?? 'turn', requests }
    const drop = serveConnection(socket, { ...serving, onRequest: watchers.changed, onClose })
    open.add(drop)
  })
  const { hostname = '127.0.0.1' } = options
  const port = await listen(server, options.port ?? 0, hostname)
  const close = async () => {
    const closed = new Promise<void>(resolve => server.close(() => resolve()))
    for (const drop of open) drop()
    await closed
  }
  return {
    url: `http://${hostname}:${port}`,
    port,
    requests,
    get connections() {
      return connections
    },
    openSockets: () => open.size,
    received: n => watchers.until(() => requests[n - 1]),
    allClosed: () => watchers.until(() => (open.size === 0 ? true : undefined)).then(() => {}),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Plays one script after the other, a request each; the last one stays. */
export function inTurn(...scripts: readonly [Script, ...Script[]]): Script {
  return request => {
    const script = scripts[Math.min(request.index, scripts.length - 1)] ?? []
    return typeof script === 'function' ? script(request) : script
  }
}

function listen(server: ReturnType<typeof createServer>, port: number, hostname: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, hostname, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}

/** Promises for what is not the case yet, looked at again after each change. */
function createWatchers() {
  const looks = new Set<() => void>()
  return {
    changed: () => {
      for (const look of [...looks]) look()
    },
    until: <T>(value: () => T | undefined): Promise<T> =>
      new Promise(resolve => {
        const look = () => {
          const found = value()
          if (found === undefined) return
          looks.delete(look)
          resolve(found)
        }
        looks.add(look)
        look()
      }),
  }
}
