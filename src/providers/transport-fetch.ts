import { connect } from 'node:net'
import type { Clock } from '#core/clock.ts'
import { type Code, GatewayError } from '#core/errors.ts'
import type { Scope } from '#core/scope.ts'
import type { Head } from './provider.ts'
import type { Incoming, Transport } from './transport.ts'
import { invalidAnswer } from './upstream-error.ts'

type Fetch = (
  url: string,
  init: RequestInit & { readonly proxy?: string; readonly decompress?: boolean },
) => Promise<Response>

/** What the runtime calls its network failures, and what they mean here. */
const CODES: Readonly<Record<string, Code>> = {
  EPROTO: 'upstream_tls_error',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'upstream_tls_error',
  SELF_SIGNED_CERT_IN_CHAIN: 'upstream_tls_error',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'upstream_tls_error',
  UNABLE_TO_GET_ISSUER_CERT: 'upstream_tls_error',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'upstream_tls_error',
  CERT_HAS_EXPIRED: 'upstream_tls_error',
  CERT_NOT_YET_VALID: 'upstream_tls_error',
  ERR_TLS_CERT_ALTNAME_INVALID: 'upstream_tls_error',
  InvalidHTTPResponse: 'upstream_invalid_response',
  InvalidContentLength: 'upstream_invalid_response',
  ResponseHeadersTooLarge: 'upstream_invalid_response',
  Malformed_HTTP_Response: 'upstream_invalid_response',
  ZlibError: 'upstream_invalid_response',
  TooManyRedirects: 'upstream_invalid_response',
}

/** Failures before a connection stands. */
const UNSENT: ReadonlySet<string> = new Set([
  'ConnectionRefused',
  'FailedToOpenSocket',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'DNSException',
])

const FORMATS: Readonly<Record<string, string>> = {
  gzip: 'gzip',
  'x-gzip': 'gzip',
  deflate: 'deflate',
  br: 'brotli',
  zstd: 'zstd',
}

const MESSAGES: Partial<Record<Code, string>> = {
  upstream_error: 'The connection to the model server failed.',
  upstream_tls_error: 'The connection to the model server could not be secured.',
  upstream_invalid_response: 'The model server sent an answer that could not be read.',
}

/** A kept connection that the server has closed meanwhile is reset as soon as it is used; servers that keep theirs for
 * a few seconds only do that all day. Within this time, in milliseconds, such a request is sent again, on a new one. */
const STALE_MS = 1000
/** The largest body that is taken in one piece. */
const PIECE_BYTES_MAX = 1024 * 1024

/** Creates the transport over the runtime's `fetch`.
 *
 * `fetch` does not say when a connection stands, so the connect clock is a second look: when nothing has come back
 * after half of it, a bare connection to the same place is tried, and if that fails too within the rest, the attempt
 * ends. A server that is merely slow to answer accepts the connection and goes on being waited for. */
export function createFetchTransport(options: {
  readonly clock: Clock
  readonly fetch?: Fetch
  /** Whether a connection to the host and port succeeds within `ms`. */
  readonly canConnect?: (host: string, port: number, ms: number) => Promise<boolean>
}): Transport {
  const { clock, fetch: send = fetch as Fetch, canConnect = dial } = options
  // Places that have answered, so that the next request may go out on a connection that was kept.
  const answered = new Set<string>()

  return async (outgoing, scope, clocks) => {
    if (scope.ended !== null) throw scope.ended
    const controller = new AbortController()
    let failure: GatewayError | null = null
    const fail = (error: GatewayError) => {
      failure ??= error
      controller.abort(error)
    }
    const leave = scope.onEnd(fail)
    let disarm = clock.after(Math.min(clocks.connect / 2, clocks.first_byte), () => {
      const rest = clocks.first_byte - clocks.connect / 2
      if (rest <= 0) return fail(silent())
      disarm = clock.after(rest, () => fail(silent()))
      const { host, port } = placeOf(outgoing.url)
      void canConnect(host, port, clocks.connect / 2).then(stands => {
        if (!stands) fail(unreachable())
      })
    })
    const sentAt = clock.now()
    const init = {
      method: outgoing.method,
      headers: outgoing.headers,
      body: outgoing.body,
      signal: controller.signal,
      redirect: 'manual' as const,
      // The runtime may unpack a whole body at once, however large it becomes.
      decompress: false,
    }
    try {
      let response: Response
      try {
        response = await send(outgoing.url, init)
      } catch (thrown) {
        const stale = failure === null && isReset(thrown) && clock.now() - sentAt < STALE_MS
        if (!stale || !answered.delete(outgoing.url)) throw thrown
        response = await send(outgoing.url, { ...init, keepalive: false })
      }
      answered.add(outgoing.url)
      return incoming(response, controller, { scope, leave, watch: run => clock.after(clocks.idle, run) })
    } catch (thrown) {
      leave()
      throw failure ?? networkError(thrown)
    } finally {
      disarm()
    }
  }
}

function silent(): GatewayError {
  return new GatewayError('upstream_timeout', 'The model server did not answer in time.')
}

function unreachable(): GatewayError {
  return new GatewayError('upstream_error', 'The model server could not be reached.', {
    cause: 'connect timeout',
    unsent: true,
  })
}

function placeOf(address: string): { readonly host: string; readonly port: number } {
  const url = new URL(address)
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)),
  }
}

/** What a body is read under: `leave` ends the watch over the scope, which aborts the answer until it has been read;
 * `watch` runs something after a silence, unless what it answers with is called before. */
interface Reading {
  readonly scope: Scope
  readonly leave: () => void
  readonly watch: (run: () => void) => () => void
}

function incoming(response: Response, controller: AbortController, { scope, leave, watch }: Reading): Incoming {
  const head: Head = { status: response.status, header: name => response.headers.get(name) }
  let reader: ReadableStreamDefaultReader<Uint8Array> | null = null
  let done = response.body === null
  let silence: GatewayError | null = null

  async function read(): Promise<Uint8Array | null> {
    if (done) return null
    reader ??= unpacked(response).getReader()
    try {
      const next = await reader.read()
      if (!next.done) return next.value
      done = true
      leave()
      return null
    } catch (thrown) {
      throw scope.ended ?? bodyError(thrown, response)
    }
  }

  async function text(bytesMax: number): Promise<string> {
    const length = Number(response.headers.get('content-length') ?? Number.NaN)
    // A decoded body may be larger than its length says, so only a plain one of known size is taken in one piece; one
    // that is large may come slowly without a silence, so that its pieces are watched.
    const small = length <= Math.min(bytesMax, PIECE_BYTES_MAX) && response.headers.get('content-encoding') === null
    let disarm = watch(endSilence)
    try {
      if (small) {
        const whole = await response.text()
        done = true
        leave()
        return whole
      }
      const decoder = new TextDecoder()
      let total = 0
      let whole = ''
      for (let bytes = await read(); bytes !== null; bytes = await read()) {
        disarm()
        disarm = watch(endSilence)
        total += bytes.byteLength
        if (total > bytesMax) throw invalidAnswer(`body over ${bytesMax} bytes`)
        whole += decoder.decode(bytes, { stream: true })
      }
      return whole + decoder.decode()
    } catch (thrown) {
      close()
      throw scope.ended ?? silence ?? networkError(thrown)
    } finally {
      disarm()
    }
  }

  function endSilence(): void {
    silence = new GatewayError('upstream_idle_timeout', 'The model server fell silent in the middle of its answer.')
    controller.abort(silence)
  }

  function close(): void {
    if (done) return
    done = true
    leave()
    controller.abort()
  }

  return { head, read, text, close }
}

/** The body of an answer, unpacked only as fast as it is read; servers pack theirs although they are asked not to. */
function unpacked(response: Response): ReadableStream<Uint8Array> {
  const body = response.body as ReadableStream<Uint8Array<ArrayBuffer>>
  const encoding = response.headers.get('content-encoding')
  if (encoding === null || encoding === 'identity') return body
  const format = FORMATS[encoding.toLowerCase()]
  if (format === undefined) throw invalidAnswer(`content-encoding ${encoding}`)
  return body.pipeThrough(new DecompressionStream(format as CompressionFormat))
}

/** Why a body broke off: the connection's failures have a code of the system, what cannot be unpacked has none. */
function bodyError(thrown: unknown, response: Response): GatewayError {
  const code = String((thrown as { code?: unknown } | null)?.code)
  if (response.headers.get('content-encoding') === null || /^E(?!RR_)/.test(code)) return networkError(thrown)
  return invalidAnswer('a body that cannot be unpacked', thrown)
}

function isReset(thrown: unknown): boolean {
  return (thrown as { code?: unknown } | null)?.code === 'ECONNRESET'
}

function networkError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown
  const name = (thrown as { code?: unknown } | null)?.code
  const code = (typeof name === 'string' ? CODES[name] : undefined) ?? 'upstream_error'
  const unsent = code === 'upstream_tls_error' || UNSENT.has(String(name))
  return new GatewayError(code, MESSAGES[code] ?? 'The connection to the model server failed.', {
    cause: thrown,
    unsent,
  })
}

function dial(host: string, port: number, ms: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host, port, timeout: ms })
    const end = (stands: boolean) => {
      socket.destroy()
      resolve(stands)
    }
    socket
      .once('connect', () => end(true))
      .once('timeout', () => end(false))
      .once('error', () => end(false))
  })
}
