import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { $ } from 'bun'
import { startUpstream } from '#tests/support/upstream.ts'
import type { Place } from './fault.ts'

/** Below those that the system gives out, so that no other test is given one meanwhile. */
let lastPort = 20_000 + (process.pid % 500) * 20

/** A port at which nobody listens. */
export async function closedPort(): Promise<Place> {
  const upstream = await startUpstream([], { port: ++lastPort })
  await upstream.close()
  return { url: upstream.url, port: upstream.port, async [Symbol.asyncDispose]() {} }
}

/** A name that nobody can have: its label is too long for any name server to be asked. */
export async function unknownHost(): Promise<Place> {
  return { url: `http://${'nobody'.repeat(11)}.invalid`, async [Symbol.asyncDispose]() {} }
}

/** A server that answers a handshake in plain text. */
export function plainPort(): Promise<Place> {
  return listening(createServer(socket => socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))))
}

/** A server whose certificate nobody vouches for. */
export async function selfSigned(): Promise<Place> {
  identity ??= makeIdentity()
  const server = createTlsServer(await identity, socket => socket.on('error', () => {}))
  server.on('tlsClientError', () => {})
  return listening(server)
}

/** A server with which no connection comes about: it takes what is sent, and says nothing. */
export function blackHole(passTime: () => void): Promise<Place> {
  return listening(
    createServer(socket => {
      socket.resume()
      passTime()
    }),
  )
}

async function listening(server: Server): Promise<Place> {
  server.on('connection', socket => socket.on('error', () => {}))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    url: `https://localhost:${typeof address === 'object' && address !== null ? address.port : 0}`,
    /** Resolves when the gateway has left every connection. */
    [Symbol.asyncDispose]: () => new Promise(resolve => server.close(() => resolve())),
  }
}

interface Identity {
  readonly key: string
  readonly cert: string
}

let identity: Promise<Identity> | null = null

async function makeIdentity(): Promise<Identity> {
  const folder = await mkdtemp(join(tmpdir(), 'citadel-identity-'))
  const curve = 'ec_paramgen_curve:prime256v1'
  const within = $.cwd(folder)
  await within`openssl req -x509 -newkey ec -pkeyopt ${curve} -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem`.quiet()
  const [key, cert] = await Promise.all(['key.pem', 'cert.pem'].map(name => readFile(join(folder, name), 'utf8')))
  await rm(folder, { recursive: true })
  return { key: key ?? '', cert: cert ?? '' }
}
