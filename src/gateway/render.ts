import type { Live } from '#core/attempt.ts'
import type { Said } from '#core/bypass.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError, toErrorBody, toGatewayError } from '#core/errors.ts'
import type { DataFrame, Frame } from '#core/frame.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Scope } from '#core/scope.ts'
import type { Writing } from '#core/writing.ts'
import { writeSse } from '#lib/sse.ts'
import { createOutlet, PING } from './outlet.ts'
import { countFrame, countSaid } from './settle.ts'

const DONE = writeSse('[DONE]')
const encoder = new TextEncoder()

/** What the rendering of an answer reports to. */
export interface RenderDeps {
  readonly clock: Clock
  readonly record: RequestRecord
  /** The scope of the request; when it ends, the rendering ends. */
  readonly scope: Scope
  readonly heartbeatMs: number
  /** Whether the answer does not exist yet: then a comment is sent at once, and with it the headers. */
  readonly early: boolean
  /** Called exactly once when the answer has ended; with the error if it was not complete. */
  readonly onEnd: (error: GatewayError | null) => void
}

/** The part of an answer that is read, whoever gives it. */
export type Source = Omit<Live, 'target' | 'model'>

/** What is written in one step; `null` when the answer has ended. */
type Piece = string | Uint8Array | null

/** Takes the one frame of a plain answer.
 *
 * @returns The JSON body. */
export async function renderPlain(live: Live, record: RequestRecord, clock: Clock): Promise<string> {
  try {
    const [frame] = await live.next()
    if (frame === undefined) throw new GatewayError('internal_error', 'A plain answer had no frame.')
    if (frame.kind === 'error') throw frame.error
    countFrame(record, frame, clock)
    return frame.text
  } finally {
    live.close()
  }
}

/** Writes an answer as server-sent events, and reads it only as fast as the caller reads.
 *
 * Only whole events are sent; `: ping` after a silence; `[DONE]` exactly when the answer was complete; otherwise the
 * error as the last event, so that a cut stream never looks complete. A client that does not read for a minute is
 * disconnected.
 *
 * @returns Once there is something to write, or at once if the answer begins early. */
export async function renderStream(live: Source, call: Call, deps: RenderDeps): Promise<Writing> {
  const { clock, record } = deps
  let ended = false

  function end(error: GatewayError | null): void {
    if (ended) return
    ended = true
    stop()
    outlet.close()
    live.close()
    deps.onEnd(error)
  }

  // If the client leaves before the stream was handed over, nobody reads or cancels it.
  const stop = deps.scope.onEnd(cause => {
    if (cause.code === 'client_closed_request') end(cause)
  })

  const outlet = createOutlet(clock, deps.heartbeatMs, end)

  function take(frames: readonly Frame[]): string {
    let text = ''
    for (const frame of frames) {
      if (frame.kind === 'error') throw new InBand(text, frame.error)
      countFrame(record, frame, clock)
      if (call.wantsUsage || !isUsageOnly(frame)) text += frame.text
    }
    return text
  }

  /** Takes frames that several requests read: the first reader encodes them, and the others use its bytes. */
  function takeShared(frames: readonly Frame[], shared: WeakMap<readonly Frame[], Uint8Array>): Uint8Array {
    const known = shared.get(frames)
    if (known === undefined) {
      const bytes = encoder.encode(take(frames))
      shared.set(frames, bytes)
      return bytes
    }
    for (const frame of frames) if (frame.kind !== 'error') countFrame(record, frame, clock)
    return known
  }

  /** Reads what is to be written next. */
  async function read(): Promise<Piece> {
    try {
      for (let frames = await live.next(); frames.length > 0; frames = await live.next()) {
        const piece = live.encoded === undefined ? take(frames) : takeShared(frames, live.encoded)
        if (piece.length > 0) return piece
      }
      return null
    } catch (thrown) {
      if (thrown instanceof InBand) throw thrown
      throw new InBand('', toGatewayError(thrown))
    }
  }

  /** Writes events that arrive while the client waits for them, in the same turn of the event loop. */
  function pass(said: Said): boolean {
    if (!outlet.ready) return false
    countSaid(record, said)
    outlet.put(said.written, said.at)
    return true
  }
  live.bypass?.(pass)

  /** The first piece, read before there is a client to write it to: it leaves in one packet with the headers. */
  let ahead: Promise<Piece> | null = deps.early ? null : read()
  let first: Piece | undefined
  await ahead?.then(
    piece => {
      first = piece
    },
    () => {},
  )

  function put(piece: Piece): void {
    if (piece !== null) outlet.put(piece, clock.now())
    else outlet.end(DONE, () => end(null))
  }

  async function writeNext(): Promise<void> {
    try {
      const reading = ahead ?? read()
      ahead = null
      const piece = await reading
      if (!outlet.ready) await outlet.room()
      if (!ended) put(piece)
    } catch (thrown) {
      if (!(thrown instanceof InBand)) throw thrown
      const { before, error } = thrown
      if (!outlet.ready) await outlet.room()
      if (ended) return
      // Before the first content this is no interruption: it is the error that the answer would have been.
      const told = record.contentFrames === 0 ? error : toStreamError(error)
      outlet.end(before + writeSse(errorEvent(told, record.contentChars)), () => end(told))
    }
  }

  return {
    async write(to) {
      // The client left before there was anything to write to.
      if (ended) return
      try {
        outlet.open(to)
        if (deps.early) outlet.put(PING, clock.now())
        if (first !== undefined) {
          const piece = first
          // The piece may be large, and must not stay in memory as long as the stream goes on.
          first = undefined
          ahead = null
          put(piece)
        }
        while (!ended) {
          if (outlet.ready) await writeNext()
          else await outlet.room()
        }
      } catch (thrown) {
        // There is no connection left to write to.
        end(toGatewayError(thrown))
        throw thrown
      }
      if (outlet.stalled !== null) throw outlet.stalled
    },
    cancel() {
      end(new GatewayError('client_closed_request', 'The client closed the request.'))
    },
  }
}

/** Carries an error out of the reading, together with the text that came before it. */
class InBand extends Error {
  readonly before: string
  readonly error: GatewayError

  constructor(before: string, error: GatewayError) {
    super(error.message)
    this.before = before
    this.error = error
  }
}

function isUsageOnly(frame: DataFrame): boolean {
  return frame.kind === 'usage'
}

/** The error for a stream that broke off: the code of its own timeout, or that it was interrupted. */
function toStreamError(error: GatewayError): GatewayError {
  const kept: readonly string[] = [
    'upstream_idle_timeout',
    'deadline_exceeded',
    'server_shutting_down',
    'client_closed_request',
  ]
  if (kept.includes(error.code)) return error
  return new GatewayError('stream_interrupted', 'The model server broke off in the middle of its answer.', {
    cause: error,
  })
}

function errorEvent(error: GatewayError, deliveredChars: number): string {
  const { error: body } = toErrorBody(error)
  return JSON.stringify({ error: { ...body, delivered_chars: deliveredChars } })
}
