import { CitadelError, errorOf } from './errors.ts'
import { beginLifetime, type Lifetime, wait } from './lifetime.ts'

/** How the client reaches the gateway. */
export interface ClientOptions {
  /** The gateway's address, with or without `/v1` at its end. */
  readonly baseUrl: string
  /** A key of the gateway; none while it asks for none. */
  readonly apiKey?: string | null
  /** A call with all its retries, until the answer is whole; of a stream, until it begins (default 300,000). */
  readonly timeoutMs?: number
  /** Silence inside of a stream, the gateway's heartbeats being none (default 60,000). */
  readonly idleTimeoutMs?: number
  /** Attempts after the first one (default 2). */
  readonly maxRetries?: number
  /** The longest `Retry-After` that is waited for; a longer one is an error at once (default 60,000). */
  readonly maxWaitMs?: number
  /** More headers for every call; they replace the client's own. */
  readonly headers?: Readonly<Record<string, string>>
  /** Default: the `fetch` of the runtime. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
}

/** What one call does differently. */
export interface CallOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  readonly idleTimeoutMs?: number
  readonly maxRetries?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Sent with every attempt of the call, so that none is done twice; a random one by default. Null sends none, so that
   * the gateway may answer equal calls together. */
  readonly idempotencyKey?: string | null
}

/** What is sent; a body makes it a POST. */
export interface Outgoing {
  /** Behind `/v1`. */
  readonly path: string
  readonly body?: object
}

/** An answer with status 200, and the life that its body still has. */
export interface Answered<T> {
  readonly value: T
  readonly response: Response
  readonly life: Lifetime
}

/** Sends a call, again where that may help, and reads its answer; the life of a call that has failed is over.
 *
 * @param read Turns the answer into a value; its failures count as the attempt's. */
export type Send = <T>(
  outgoing: Outgoing,
  options: CallOptions,
  read: (response: Response) => Promise<T>,
) => Promise<Answered<T>>

/** What may be different a moment later. */
const PASSING_STATUSES = new Set<number | null>([408, 429, 500, 502, 503, 504])
const PASSING_CODES = new Set<string>(['connection_failed', 'idempotency_conflict'])
const BACKOFF_MS = 500
const BACKOFF_MS_MAX = 8000

/** Creates the one place that talks to the gateway. */
export function createSend(defaults: ClientOptions): Send {
  const base = defaults.baseUrl.replace(/(\/v1)?\/*$/, '/v1')
  const dial = defaults.fetch ?? ((url, init) => fetch(url, init))

  return async (outgoing, options, read) => {
    const url = base + outgoing.path
    const retries = options.maxRetries ?? defaults.maxRetries ?? 2
    // Before the clock runs: a body that JSON cannot say is thrown as it is.
    const init = requestOf(outgoing, defaults, options)
    const life = beginLifetime(options.signal, options.timeoutMs ?? defaults.timeoutMs ?? 300_000)
    try {
      for (let retry = 0; ; retry++) {
        try {
          life.signal.throwIfAborted()
          const response = await dial(url, { ...init, signal: life.signal })
          if (!response.ok) throw errorOf(response, parsed(await response.text()))
          return { value: await read(response), response, life }
        } catch (thrown) {
          const error = toError(thrown, life, base)
          const ms = retry < retries ? waitFor(error, retry) : Infinity
          if (ms > (defaults.maxWaitMs ?? 60_000) || Date.now() + ms >= life.endsAt()) throw error
          await wait(ms, life.signal)
        }
      }
    } catch (thrown) {
      life.end()
      throw thrown
    }
  }
}

function requestOf({ body }: Outgoing, defaults: ClientOptions, options: CallOptions): RequestInit {
  // The same name in other letters is the same header: it replaces ours, instead of being sent beside it.
  const headers = new Headers({ accept: 'application/json' })
  if (defaults.apiKey) headers.set('authorization', `Bearer ${defaults.apiKey}`)
  for (const own of [defaults.headers, options.headers])
    for (const [name, value] of Object.entries({ ...own })) headers.set(name, value)
  if (body === undefined) return { headers, redirect: 'error' }
  headers.set('content-type', 'application/json')
  const { idempotencyKey = headers.get('idempotency-key') ?? newKey() } = options
  if (idempotencyKey !== null) headers.set('idempotency-key', idempotencyKey)
  return { method: 'POST', headers, body: JSON.stringify(body), redirect: 'error' }
}

/** Not `crypto.randomUUID()`: pages that are not served by https do not have it. */
function newKey(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** What was thrown, as an error of the client: a life that is over says why, and all else is the connection. */
function toError(thrown: unknown, { signal }: Lifetime, base: string): CitadelError {
  if (signal.aborted && signal.reason instanceof CitadelError) return signal.reason
  if (thrown instanceof CitadelError) return thrown
  // It may be a path, of the page's own origin, or no address at all; a password in it is not shown.
  const address = base.replace(/\/\/.*@/, '//')
  return new CitadelError('connection_failed', `The gateway at ${address} did not answer.`, { cause: thrown })
}

/** How long to wait before the next attempt; `Infinity` when it would be in vain. */
function waitFor(error: CitadelError, retry: number): number {
  const asked = error.headers?.get('x-should-retry')
  const may =
    asked === 'true' || (asked !== 'false' && (PASSING_CODES.has(error.code) || PASSING_STATUSES.has(error.status)))
  if (!may) return Infinity
  // Half of it by chance, so that many clients do not come back together.
  return error.retryAfterMs ?? Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** retry) * (0.5 + Math.random() / 2)
}
