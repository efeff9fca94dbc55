import { isIP } from 'node:net'
import type { Clock } from '#core/clock.ts'
import type { GatewayError } from '#core/errors.ts'
import { notConnected } from './errors.ts'
import type { Names } from './names.ts'

/** From one dial to the next while none has failed, in milliseconds (RFC 8305 §5). */
const APART_MS = 250

/** How one host is connected to. */
interface Caller {
  /** Dials one address. More than one may come to stand: the first is the connection, and the caller closes the others. */
  connect(address: string): Promise<unknown>
  /** Nothing stands, and nothing will. */
  failed(error: GatewayError): void
}

/** Connects to a host.
 *
 * @returns A function that stops dialling, without telling the caller. */
export type Dial = (hostname: string, caller: Caller) => () => void

/** Creates what dials: an address as it is, a name at its addresses one after the other. The next one's turn comes when
 * one fails, or has not answered for a quarter of a second. A name whose addresses have all failed is looked up anew. */
export function createDial(clock: Pick<Clock, 'after'>, names: Names): Dial {
  return (hostname, { connect, failed }) => {
    const unreachable = (thrown: unknown) => failed(notConnected('unreachable', thrown))
    if (isIP(hostname) !== 0) {
      Promise.try(connect, hostname).catch(unreachable)
      return nothing
    }
    let over = false
    let stop = nothing
    names.find(hostname).then(
      addresses => {
        if (over) return
        stop = race(addresses, {
          clock,
          connect,
          won: address => names.prefer(hostname, address),
          lost(thrown) {
            names.forget(hostname)
            unreachable(thrown)
          },
        })
      },
      thrown => failed(notConnected('dns', thrown)),
    )
    return () => {
      over = true
      stop()
    }
  }
}

/** Dials addresses until one stands. */
function race(
  addresses: readonly string[],
  to: Pick<Caller, 'connect'> & {
    readonly clock: Pick<Clock, 'after'>
    won(address: string): void
    lost(thrown: unknown): void
  },
): () => void {
  let next = 0
  let failures = 0
  let over = false
  let disarm = nothing

  function stop(): void {
    over = true
    disarm()
  }

  function dialNext(): void {
    disarm()
    const address = addresses[next]
    if (address === undefined) return
    next++
    Promise.try(to.connect, address).then(
      () => {
        if (over) return
        stop()
        to.won(address)
      },
      thrown => {
        failures++
        if (over) return
        if (failures < addresses.length) return dialNext()
        stop()
        to.lost(thrown)
      },
    )
    if (next < addresses.length) disarm = to.clock.after(APART_MS, dialNext)
  }

  dialNext()
  return stop
}

function nothing(): void {}
