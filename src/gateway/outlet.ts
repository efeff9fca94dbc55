import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Writer } from '#core/writing.ts'

/** A comment that keeps a connection open. */
export const PING = ': ping\n\n'
/** How long a client may read nothing although data are ready for it, in milliseconds. No other timeout ends such a
 * stream: its connection is open, and no server is waited for. */
const STALLED_MS = 60_000

/** Writes a stream to its client. */
export interface Outlet {
  /** Whether the client would accept data now. */
  readonly ready: boolean
  /** Why the client has to be disconnected: it does not read. */
  readonly stalled: GatewayError | null
  open(writer: Writer): void
  /** @param now Monotonic milliseconds. */
  put(piece: string | Uint8Array, now: number): void
  /** Writes the last piece and ends the stream.
   *
   * @param over Runs between the two: after the end nothing more can be learned about the connection, and a client that
   * sees the end may close it at once. */
  end(piece: string | Uint8Array, over: () => void): void
  /** Waits until the client has read what was written, or will never read it. */
  room(): Promise<void> | undefined
  close(): void
}

/** Creates the outlet to a client. It sends a ping after each `beatMs` without data (0 = never), and gives up on a
 * client that reads nothing for a minute.
 *
 * @param giveUp Called with the reason. */
export function createOutlet(clock: Clock, beatMs: number, giveUp: (error: GatewayError) => void): Outlet {
  const patience = beatMs > 0 ? beatMs : Infinity
  const lookMs = Math.min(patience, STALLED_MS)
  let to: Writer | null = null
  let since = 0
  let stalled: GatewayError | null = null
  let disarm: (() => void) | null = null
  /** Resolved when the client has read what was written; `null` while nobody waits. */
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

  /** Runs on one timer for both the ping and the stalled client: it checks what there is to wait for, and sets the
   * timer again. */
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
