import type { Socket, TCPSocketListener } from 'bun'

/** A TCP proxy that passes everything on, later. */
export interface DelayedProxy {
  readonly port: number
  /** From now on answers come so many milliseconds late. */
  delay(ms: number): void
  [Symbol.asyncDispose](): Promise<void>
}

interface Pair {
  other: Socket<Pair> | null
  /** What came before the other side was there. */
  early: Uint8Array[]
}

/** Starts a proxy to a port of this machine; at first it delays nothing. */
export function delayedProxy(to: number): DelayedProxy {
  let ms = 0
  const listener: TCPSocketListener<Pair> = Bun.listen<Pair>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      async open(client) {
        client.data = { other: null, early: [] }
        const upstream = await connect(to, client, () => ms).catch(() => null)
        if (upstream === null) client.end()
        else {
          for (const bytes of client.data.early) upstream.write(bytes)
          client.data.other = upstream
        }
      },
      data(client, bytes) {
        if (client.data.other === null) client.data.early.push(bytes.slice())
        else client.data.other.write(bytes)
      },
      close: client => void client.data.other?.end(),
    },
  })
  return {
    port: listener.port,
    delay(next) {
      ms = next
    },
    async [Symbol.asyncDispose]() {
      listener.stop(true)
    },
  }
}

function connect(port: number, client: Socket<Pair>, delay: () => number): Promise<Socket<Pair>> {
  return Bun.connect<Pair>({
    hostname: '127.0.0.1',
    port,
    data: { other: client, early: [] },
    socket: {
      data(_, bytes) {
        const copy = bytes.slice()
        if (delay() === 0) client.write(copy)
        else setTimeout(() => client.write(copy), delay())
      },
      close: () => void client.end(),
    },
  })
}
