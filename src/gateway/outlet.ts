import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Writer } from '#core/writing.ts'

/** A comment that keeps a connection open. */
export const PING = ': ping\n\n'
/** How long a client may take nothing of what is ready for it, in milliseconds. Nothing else ends such a stream: its
 * connection stands, and no server is waited for. */
const STALLED_MS = 60_000

/** The way of a stream to its client. */
export interface Outlet {
  /** Whether the client would take something now. */
  readonly ready: boolean
  /** Why the client is to be cut off: it does not take what there is. */
  readonly stalled: GatewayError | null
  open(writer: Writer): void
  /** @param now Monotonic milliseconds. */
  put(piece: string | Uint8Array, now: number): void
  /** Puts the last piece, and ends.
   *
   * @param over Run between the two: behind the end nothing can be said of the connection any more, and who hears of the
   * end a moment later may close it. */
  end(piece: string | Uint8Array, over: () => void): void
  /** Waits until the client has taken what was put, or will never take it. */
  room(): Promise<void> | undefined
  close(): void
}

/** Creates the way to a client. It beats after each `beatMs` in which nothing was put (0 = never), and gives up on a
 * client that takes nothing for a minute.
 *
 * @param giveUp Told why. */
export function createOutlet(clock: Clock, beatMs: number, giveUp: (error: GatewayError) => void): Outlet {
  const patience = beatMs > 0 ? beatMs : Infinity
  const lookMs = Math.min(patience, STALLED_MS)
  let to: Writer | null = null
  let since = 0
  let stalled: GatewayError | null = null
  let disarm: (() => void) | null = null
  /** Who waits for the client, while it has something to take. */
  let full: PromiseWithResolvers<void> | null = null

  function write(piece: string | Uint8Array): void {
    const taken = to?.write(piece)
    to?.flush()
    if (!(taken instanceof Promise)) return
    const waiting = full ?? Promise.withResolvers<void>()
    full = waiting
    taken.then(drained, drained)
  }

  function drained(): void {
    since = clock.now()
    release()
  }

  function release(): void {
    const waiting = full
    full = null
    waiting?.resolve()
  }

  /** One timer for both: it looks what there is to wait for, and comes again when that may be over. */
  function look(): void {
    const left = since + (full === null ? patience : STALLED_MS) - clock.now()
    if (left > 0) {
      arm(Math.min(left, lookMs))
      return
    }
    if (full !== null) {
      stalled = new GatewayError('client_closed_request', 'The client stopped reading.')
      giveUp(stalled)
      return
    }
    write(PING)
    since = clock.now()
    arm(lookMs)
  }

  function arm(ms: number): void {
    disarm = clock.after(ms, look)
  }

  return {
    get ready() {
      return to !== null && full === null
    },
    get stalled() {
      return stalled
    },
    open(writer) {
      to = writer
      since = clock.now()
      arm(lookMs)
    },
    put(piece, now) {
      since = now
      write(piece)
    },
    end(piece, over) {
      const last = to
      last?.write(piece)
      over()
      last?.end()
    },
    room: () => full?.promise,
    close() {
      to = null
      disarm?.()
      release()
    },
  }
}
