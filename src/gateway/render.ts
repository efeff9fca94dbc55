import type { Live } from '#core/attempt.ts'
import type { Said } from '#core/bypass.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError, toErrorBody, toGatewayError } from '#core/errors.ts'
import type { DataFrame, Frame } from '#core/frame.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Scope } from '#core/scope.ts'
import { writeSse } from '#lib/sse.ts'
import { countFrame, countSaid } from './settle.ts'

const DONE = writeSse('[DONE]')
const PING = ': ping\n\n'
/** How long a client may take nothing of what is ready for it, in milliseconds. Nothing else ends such a stream: its
 * connection stands, and no server is waited for. */
const STALLED_MS = 60_000
const encoder = new TextEncoder()

/** What the rendering of an answer reports to. */
export interface RenderDeps {
  readonly clock: Clock
  readonly record: RequestRecord
  /** The request's own: its end is the end of the rendering. */
  readonly scope: Scope
  readonly heartbeatMs: number
  /** Called exactly once, when the answer is over: with the error, if it was not whole. */
  readonly onEnd: (error: GatewayError | null) => void
}

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

/** Writes an answer as server-sent events, read only as fast as the caller reads.
 *
 * Whole events only; `: ping` after a silence; `[DONE]` exactly when the answer was whole; otherwise the error as the
 * last event, so that a cut stream never looks complete. A client that stops reading is cut off after a minute. */
export function renderStream(live: Live, call: Call, deps: RenderDeps): ReadableStream<Uint8Array> {
  const { clock, record } = deps
  let ended = false

  function end(error: GatewayError | null): void {
    if (ended) return
    ended = true
    stop()
    pulse.stop()
    live.close()
    deps.onEnd(error)
  }

  // The stream may never be read or cancelled when the client leaves before it was handed over.
  const stop = deps.scope.onEnd(cause => {
    if (cause.code === 'client_closed_request') end(cause)
  })

  function take(frames: readonly Frame[]): string {
    let text = ''
    for (const frame of frames) {
      if (frame.kind === 'error') throw new InBand(text, frame.error)
      countFrame(record, frame, clock)
      if (call.wantsUsage || !isUsageOnly(frame)) text += frame.text
    }
    return text
  }

  /** What is written first by one of many who read the same is the same for all of them. */
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

  /** What to write next; `null` when the answer is over. */
  async function read(): Promise<string | Uint8Array | null> {
    try {
      for (let frames = await live.next(); frames.length > 0; frames = await live.next()) {
        const text = live.encoded === undefined ? take(frames) : takeShared(frames, live.encoded)
        if (text.length > 0) return text
      }
      return null
    } catch (thrown) {
      if (thrown instanceof InBand) throw thrown
      throw new InBand('', toGatewayError(thrown))
    }
  }

  let writer: ReadableStreamDefaultController<Uint8Array> | null = null
  const pulse = createPulse(clock, deps.heartbeatMs, {
    beat: () => writer?.enqueue(encoder.encode(PING)),
    stall() {
      const error = new GatewayError('client_closed_request', 'The client stopped reading.')
      end(error)
      writer?.error(error)
    },
  })

  /** What comes while the client waits for it goes out in the same turn. */
  function pass(said: Said): boolean {
    if (ended || writer === null || (writer.desiredSize ?? 0) <= 0) return false
    countSaid(record, said)
    pulse.wait(said.at)
    writer.enqueue(said.bytes)
    return true
  }
  live.bypass?.(pass)

  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      writer = controller
      pulse.wait(clock.now())
      try {
        const text = await read()
        pulse.rest()
        if (ended) return
        controller.enqueue(typeof text === 'object' && text !== null ? text : encoder.encode(text ?? DONE))
        if (text !== null) return
        end(null)
        controller.close()
      } catch (thrown) {
        pulse.rest()
        if (ended) return
        const { before, error } = thrown as InBand
        const told = toStreamError(error)
        controller.enqueue(encoder.encode(before + writeSse(errorEvent(told, record.contentChars))))
        end(told)
        controller.close()
      }
    },
    cancel() {
      end(new GatewayError('client_closed_request', 'The client closed the request.'))
    },
  })
}

/** Carries an error out of the reading together with the text that came before it. */
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

/** Watches a stream with one timer: beats after each `ms` of waiting for the server (0 = never), and tells when the
 * client has not taken what was ready for it. */
function createPulse(clock: Clock, ms: number, told: { readonly beat: () => void; readonly stall: () => void }) {
  const beatMs = ms > 0 ? ms : Infinity
  const lookMs = Math.min(beatMs, STALLED_MS)
  let waiting = false
  let since = 0
  let disarm: (() => void) | null = null

  function arm(after: number): void {
    disarm = clock.after(after, () => {
      const left = since + (waiting ? beatMs : STALLED_MS) - clock.now()
      if (left > 0) return arm(Math.min(left, lookMs))
      if (!waiting) return told.stall()
      told.beat()
      since = clock.now()
      arm(lookMs)
    })
  }

  return {
    wait(now: number): void {
      waiting = true
      since = now
      if (disarm === null) arm(lookMs)
    },
    rest(): void {
      waiting = false
      since = clock.now()
    },
    stop(): void {
      disarm?.()
    },
  }
}

/** What a stream that broke off is told: its own clock's code, or that it was interrupted. */
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
