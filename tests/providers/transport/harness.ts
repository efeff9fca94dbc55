import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { createScope, type Scope } from '#core/scope.ts'
import type { Outgoing } from '#providers/provider.ts'
import { createSocketTransport, type SocketTransport } from '#providers/transport/index.ts'
import type { Clocks, Incoming, Transport } from '#providers/transport.ts'

/** Clocks that no test waits for. */
export const PATIENT: Clocks = { connect: 10_000, first_byte: 10_000, idle: 10_000 }

/** Time as it passes. */
export const realClock: Clock = {
  now: () => performance.now(),
  time: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

/** A POST as the providers make it. */
export function post(url: string, body = '{"model":"m"}', headers: Readonly<Record<string, string>> = {}): Outgoing {
  return { method: 'POST', url, headers: { 'content-type': 'application/json', ...headers }, body: [body] }
}

/** A transport with what a test asks it with. */
export interface Line extends AsyncDisposable {
  readonly transport: Transport
  readonly sockets: SocketTransport
  readonly scope: Scope
  send(outgoing: Outgoing, clocks?: Partial<Clocks>, scope?: Scope): Promise<Incoming>
}

/** Opens a line over sockets; at the end of the test it is closed. */
export function openLine(
  options: Partial<Parameters<typeof createSocketTransport>[0]> = {},
  scope: Scope = createScope(options.clock ?? realClock),
): Line {
  const sockets = createSocketTransport({ clock: realClock, ...options })
  return {
    transport: sockets,
    sockets,
    scope,
    send: (outgoing, clocks = {}, within = scope) => sockets(outgoing, within, { ...PATIENT, ...clocks }),
    async [Symbol.asyncDispose]() {
      sockets.close()
    },
  }
}

/** The error that something ends with; fails when there is none, or another kind. */
export async function failureOf(work: Promise<unknown>): Promise<GatewayError> {
  const outcome = await work.then(
    value => ({ value }),
    (thrown: unknown) => ({ thrown }),
  )
  if ('thrown' in outcome && outcome.thrown instanceof GatewayError) return outcome.thrown
  throw new Error('it was to fail with an error of the gateway', { cause: outcome })
}

/** Code, message and the word of the reason. */
export function storyOf(error: GatewayError): { code: string; message: string; reason: unknown } {
  const { cause } = error
  const reason = typeof cause === 'object' && cause !== null && 'reason' in cause ? cause.reason : cause
  return { code: error.code, message: error.message, reason }
}

/** Reads a body to its end. */
export async function drain(incoming: Incoming): Promise<string> {
  const pieces: Uint8Array[] = []
  for (let piece = await incoming.read(); piece !== null; piece = await incoming.read()) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

/** Waits, for at most a second, until something is so. */
export async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + 1000
  while (!isSo()) {
    if (performance.now() > end) throw new Error('it did not come to be')
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
