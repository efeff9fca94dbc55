import { STATUS_CODES } from 'node:http'

/** One thing that a scripted upstream does. */
export type Step =
  | { readonly step: 'bytes'; readonly data: Uint8Array }
  | { readonly step: 'pause'; readonly ms: number }
  | Gate
  | { readonly step: 'cut' | 'reset' | 'hang' }

/** A step that holds the script until the test opens it. */
export interface Gate {
  readonly step: 'gate'
  readonly opened: Promise<void>
  /** Resolves when the script stands at the gate, everything before it being written. */
  readonly reached: Promise<void>
  open(): void
  reach(): void
}

/** A step, or steps nested as deep as the helpers nest them. */
export type Steps = Step | readonly Steps[]

/** Writes these bytes, to be one read of the client's. */
export function bytes(data: string | Uint8Array): Step {
  return { step: 'bytes', data: typeof data === 'string' ? new TextEncoder().encode(data) : data }
}

/** Waits; prefer `gate()`, which does not race with the test. */
export function pause(ms: number): Step {
  return { step: 'pause', ms }
}

/** Waits until the test calls `open()`; once opened it stays open for later requests too. */
export function gate(): Gate {
  const opened = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  return {
    step: 'gate',
    opened: opened.promise,
    reached: reached.promise,
    open: opened.resolve,
    reach: reached.resolve,
  }
}

/** Ends the connection with a FIN, behind all that was written. */
export function cut(): Step {
  return { step: 'cut' }
}

/** Ends the connection with a RST, after the client's socket was read empty.
 *
 * `fetch` reads on a thread of its own and lets the error overtake bytes that it has not handed over: where those
 * matter, put a `gate()` before, and open it when they are seen. */
export function reset(): Step {
  return { step: 'reset' }
}

/** Stays silent, with the connection open, until the client leaves. */
export function hang(): Step {
  return { step: 'hang' }
}

/** Writes a response head; the caller frames the body. */
export function head(status: number, headers: Readonly<Record<string, string>> = {}): Step {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return bytes(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Status'}\r\n${lines.join('')}\r\n`)
}

/** Writes one piece of a chunked body. */
export function chunk(data: string | Uint8Array): Step {
  const body = Buffer.from(data)
  return bytes(Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')]))
}

/** Ends a chunked body; the connection stays open for the next request. */
export function lastChunk(): Step {
  return bytes('0\r\n\r\n')
}

/** Answers with a whole body and its length; a string body goes out as it is. */
export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Steps {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const length = String(Buffer.byteLength(text))
  return [head(status, { 'content-type': 'application/json', ...headers, 'content-length': length }), bytes(text)]
}

/** Answers with a web page, as a proxy in front of a dead server does. */
export function html(status = 200, text = '<!doctype html><title>Bad gateway</title><h1>Bad gateway</h1>'): Steps {
  return json(status, text, { 'content-type': 'text/html; charset=utf-8' })
}

/** Lays nested steps out in the order in which they are done. */
export function flatten(steps: Steps): Step[] {
  return isStep(steps) ? [steps] : steps.flatMap(flatten)
}

const stepNames = new Set<unknown>(['bytes', 'pause', 'gate', 'cut', 'reset', 'hang'])

/** Tells a step from the JSON object of an event. */
export function isStep(value: unknown): value is Step {
  return typeof value === 'object' && value !== null && 'step' in value && stepNames.has(value.step)
}
