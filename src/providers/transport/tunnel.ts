import type { Socket, SocketHandler } from 'bun'
import type { GatewayError } from '#core/errors.ts'
import { inUrl } from '#lib/net.ts'
import type { Dial } from './dial.ts'
import { notConnected } from './errors.ts'
import type { ResponseHead } from './head.ts'
import { ResponseParser } from './parser.ts'
import type { Origin } from './place.ts'

/** A proxy that connections go through. */
export interface ProxyServer {
  readonly hostname: string
  readonly port: number
  /** The value of `proxy-authorization`; `null` = none is sent. */
  readonly authorization: string | null
}

const HTTP_PORT = 80

/** Reads the address of a proxy: `http://user:password@host:port`.
 *
 * @returns `null` if the text is not such an address. */
export function proxyOf(address: string): ProxyServer | null {
  const url = URL.parse(address)
  if (url === null || url.protocol !== 'http:' || url.hostname === '' || url.pathname !== '/') return null
  const { username, password } = url
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return {
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || HTTP_PORT),
    authorization: username === '' ? null : `Basic ${Buffer.from(credentials).toString('base64')}`,
  }
}

/** The user of a tunnel: told when it is open, or that it failed. */
export interface Traveller {
  /** The tunnel stands; whoever owns the socket from now on sets its handlers. */
  through(socket: Socket<Tunnel>): void
  failed(error: GatewayError): void
}

/** The way through a proxy to one origin (RFC 9110 §9.3.6): what follows is between the two ends alone. */
export class Tunnel {
  private readonly traveller: Traveller
  private readonly request: string
  private readonly parser = new ResponseParser()
  private socket: Socket<Tunnel> | null = null
  private over = false
  /** Ends the dialling that goes on. */
  private hangUp: (() => void) | null = null

  constructor({ hostname, port }: Origin, { authorization }: ProxyServer, traveller: Traveller) {
    const host = `${inUrl(hostname)}:${port}`
    const credentials = authorization === null ? '' : `proxy-authorization: ${authorization}\r\n`
    this.request = `CONNECT ${host} HTTP/1.1\r\nhost: ${host}\r\n${credentials}\r\n`
    this.traveller = traveller
  }

  open({ hostname: host, port }: ProxyServer, dial: Dial): void {
    this.hangUp = dial(host, {
      connect: hostname => Bun.connect<Tunnel>({ hostname, port, data: this, socket: HANDLERS }),
      failed: error => this.fail(error),
    })
  }

  /** Gives the tunnel up, without telling its user. */
  close(): void {
    this.over = true
    this.hangUp?.()
    this.socket?.close()
  }

  /** Whether a socket is the one: another of the name's addresses may have come to stand before it. */
  owns(socket: Socket<Tunnel>): boolean {
    return this.socket === socket
  }

  opened(socket: Socket<Tunnel>): void {
    if (this.over || this.socket !== null) return void socket.close()
    this.socket = socket
    this.hangUp = null
    // An answer to this has no body, whatever it says.
    this.parser.begin('HEAD')
    socket.write(this.request)
  }

  received(bytes: Buffer): void {
    // A secured socket's own bytes pass by here too.
    if (this.over) return
    try {
      this.parser.push(bytes, this)
    } catch (thrown) {
      this.fail(notConnected('proxy', thrown))
    }
  }

  onHead({ status }: ResponseHead): void {
    const { socket } = this
    if (status < 200 || status > 299) {
      this.fail(notConnected('proxy', new Error(`the proxy answers HTTP ${status}`)))
    } else if (socket !== null) {
      this.over = true
      this.socket = null
      this.traveller.through(socket)
    }
  }

  onBody(): void {}
  onEnd(): void {}

  ended(error: Error | null): void {
    this.fail(notConnected('proxy', error ?? new Error('the proxy has closed the connection')))
  }

  private fail(error: GatewayError): void {
    if (this.over) return
    this.close()
    this.traveller.failed(error)
  }
}

const HANDLERS: SocketHandler<Tunnel> = {
  open: socket => socket.data.opened(socket),
  data: (socket, bytes) => socket.data.received(bytes),
  end: socket => ended(socket, null),
  close: (socket, error) => ended(socket, error ?? null),
  error: (socket, error) => ended(socket, error),
}

function ended(socket: Socket<Tunnel>, error: Error | null): void {
  if (socket.data.owns(socket)) socket.data.ended(error)
}
