import type { Clock } from '#core/clock.ts'
import type { Scope } from '#core/scope.ts'
import type { Incoming, Transport } from '../transport.ts'
import { invalidAnswer } from '../upstream-error.ts'
import { respond } from './wire.ts'

/** The address of the demonstration model: a scheme that no network knows. */
export const DEMO_ADDRESS = 'demo:'

/** The time between two words of a stream, in milliseconds. */
const PAUSE_MS = 25

/** Creates the transport for `demo:` addresses: answers are made in the process, and streams arrive word by word. */
export function createDemoTransport({ clock }: { readonly clock: Pick<Clock, 'after' | 'time'> }): Transport {
  return async (outgoing, scope) => {
    if (scope.ended !== null) throw scope.ended
    const { status, contentType, pieces } = respond(outgoing, Math.floor(clock.time() / 1000))
    const header = (name: string) => (name === 'content-type' ? contentType : null)
    return toIncoming({ status, header }, pieces, scope, run => clock.after(PAUSE_MS, run))
  }
}

function toIncoming(
  head: Incoming['head'],
  pieces: readonly string[],
  scope: Scope,
  later: (run: () => void) => () => void,
): Incoming {
  const encoder = new TextEncoder()
  let at = 0
  let stop = () => {}

  /** Ends with the pause, with `close`, or with the scope. */
  function pause(): Promise<void> {
    return new Promise(resolve => {
      const end = () => {
        disarm()
        leave()
        resolve()
      }
      const disarm = later(end)
      const leave = scope.onEnd(end)
      stop = end
    })
  }

  async function read(): Promise<Uint8Array | null> {
    if (at > 0 && at < pieces.length && scope.ended === null) await pause()
    if (scope.ended !== null) throw scope.ended
    const piece = pieces[at++]
    return piece === undefined ? null : encoder.encode(piece)
  }

  async function text(bytesMax: number): Promise<string> {
    const whole = pieces.slice(at).join('')
    at = pieces.length
    if (Buffer.byteLength(whole) > bytesMax) throw invalidAnswer(`body over ${bytesMax} bytes`)
    return whole
  }

  function close(): void {
    at = pieces.length
    stop()
  }

  return { head, read, text, close }
}
