import { createConnection, createServer, type Socket } from 'node:net'

/** What a proxy does with bytes: hands them on, hands them on late, keeps them, or refuses connections. */
export type ProxyMode = 'pass' | 'slow' | 'hole' | 'down'

/** A way to a server that can be spoiled. */
export interface TcpProxy {
  readonly port: number
  /** Changes what is done; `down` also cuts what is open. */
  set(mode: ProxyMode): void
  /** Leads connections that are made from now on to another port. */
  turnTo(port: number): void
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a proxy on loopback in front of a port of this machine.
 *
 * @param slowMs How late it is when it is slow. */
export async function startTcpProxy(target: number, slowMs = 300): Promise<TcpProxy> {
  let mode: ProxyMode = 'pass'
  let to = target
  const open = new Set<Socket>()
  const server = createServer(client => {
    if (mode === 'down') {
      client.destroy()
      return
    }
    const upstream = createConnection(to, '127.0.0.1')
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        open.delete(from)
        to.destroy()
      })
    }
    upstream.on('data', bytes => client.write(bytes))
    client.on('data', bytes => {
      if (mode === 'hole') return
      if (mode === 'slow') setTimeout(() => upstream.write(bytes), slowMs)
      else upstream.write(bytes)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const cut = () => {
    for (const socket of open) socket.destroy()
  }
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    set(next) {
      mode = next
      if (mode === 'down') cut()
    },
    turnTo(port) {
      to = port
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      cut()
      await closed
    },
  }
}
