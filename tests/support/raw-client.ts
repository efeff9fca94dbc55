import { connect, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectSecurely } from 'node:tls'

/** A client that shows each read and how the connection ended. */
export interface RawClient {
  readonly socket: Socket
  readonly reads: readonly Uint8Array[]
  /** All that was read so far, one character a byte. */
  text(): string
  /** Resolves when the text so far satisfies the test. */
  until(found: (text: string) => boolean): Promise<string>
  /** Resolves when the connection has ended: `end` after a FIN, else the error's code. */
  readonly ended: Promise<string>
}

/** Sends raw bytes to a port on loopback and records what comes back, read by read.
 *
 * @param tls How https is spoken; plain http when absent. */
export function rawClient(port: number, request: string | Uint8Array, tls?: ConnectionOptions): RawClient {
  const ended = Promise.withResolvers<string>()
  const reads: Uint8Array[] = []
  const looks = new Set<() => void>()
  const address = { port, host: '127.0.0.1', noDelay: true }
  const ask = () => void socket.write(request)
  const socket = tls === undefined ? connect(address, ask) : connectSecurely({ ...address, ...tls }, ask)
  const text = () => Buffer.concat(reads).toString('latin1')
  socket.on('data', data => {
    reads.push(typeof data === 'string' ? Buffer.from(data) : new Uint8Array(data))
    for (const look of [...looks]) look()
  })
  socket.on('end', () => ended.resolve('end'))
  socket.on('error', (error: NodeJS.ErrnoException) => ended.resolve(error.code ?? error.message))
  socket.on('close', () => ended.resolve('close'))
  const until = (found: (text: string) => boolean) =>
    new Promise<string>(resolve => {
      const look = () => {
        if (!found(text())) return
        looks.delete(look)
        resolve(text())
      }
      looks.add(look)
      look()
    })
  return { socket, reads, text, until, ended: ended.promise }
}

/** Writes a request with its length, as a client on a kept-alive connection does. */
export function rawRequest(path: string, body = '', method = 'POST'): string {
  return `${method} ${path} HTTP/1.1\r\nhost: test\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}
