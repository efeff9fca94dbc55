import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { type DataFrame, type Frame, isContent } from '#core/frame.ts'
import type { Scope } from '#core/scope.ts'
import type { JsonObject } from '#lib/json.ts'
import { createLineSplitter } from '#lib/lines.ts'
import { createSseParser } from '#lib/sse.ts'
import type { Provider, StreamEvent } from '#providers/provider.ts'
import type { Incoming } from '#providers/transport.ts'
import { invalidAnswer } from '#providers/upstream-error.ts'

/** Events of one stream that may be unreadable before the stream counts as garbage. */
const SKIPPED_EVENTS_MAX = 3
/** How long an upstream may stay open after its last choice has finished, in milliseconds. */
const AFTER_FINISH_MS = 1000

/** An upstream stream, read as frames. */
export interface UpstreamStream {
  /** The next frames; an empty list once the answer is complete.
   *
   * @throws GatewayError when it broke off, fell silent or turned to garbage. */
  next(): Promise<readonly Frame[]>
  close(): void
}

/** Reads an upstream's stream: bytes → events → frames, and judges whether the answer is whole.
 *
 * An answer is complete when its choices have finished (or `[DONE]` says so), never merely because the connection
 * closed; what may follow a finish, usage and `[DONE]`, is not waited for longer than a second. */
export function readUpstream(options: {
  readonly incoming: Incoming
  readonly provider: Provider
  readonly call: Call
  readonly scope: Scope
  readonly clock: Clock
  readonly idleMs: number
  readonly onSkipped: () => void
  /** Told once of a stream that had content: `null` when it is whole, else why it broke off. */
  readonly onEnd: (error: GatewayError | null) => void
}): UpstreamStream {
  const { incoming, provider, scope, clock } = options
  const decoder = new TextDecoder()
  const split = createSplitter(provider.framing)
  const reducer = provider.stream(options.call)
  const completion = createCompletion(expectedChoices(options.call.body))
  const quiet = createQuietWatch({ clock, idleMs: options.idleMs, incoming, isWhole: () => completion.complete })
  let state = reducer.start()
  let skipped = 0
  let over = false
  let draining = false
  let told = false

  function eventsOf(bytes: Uint8Array): StreamEvent[] {
    try {
      return split.push(decoder.decode(bytes, { stream: true }))
    } catch (thrown) {
      throw invalidAnswer('an event without end', thrown)
    }
  }

  function apply(event: StreamEvent, frames: Frame[]): void {
    if (event.data === '[DONE]') completion.done()
    try {
      const [next, produced] = reducer.step(state, event)
      state = next
      for (const frame of produced) keep(frame, frames)
    } catch (thrown) {
      options.onSkipped()
      if (++skipped > SKIPPED_EVENTS_MAX) throw invalidAnswer('too many unreadable events', thrown)
    }
  }

  function tell(error: GatewayError | null): void {
    if (told || !quiet.begun) return
    told = true
    options.onEnd(error)
  }

  function keep(frame: Frame, frames: Frame[]): void {
    frames.push(frame)
    if (frame.kind === 'error') tell(frame.error)
    else {
      completion.see(frame)
      if (isContent(frame)) quiet.begin()
    }
    if (completion.complete) {
      quiet.shorten()
      tell(null)
    }
  }

  async function next(): Promise<readonly Frame[]> {
    try {
      while (!over) {
        const bytes = await quiet.read()
        const frames: Frame[] = []
        if (bytes === null) end(frames)
        else for (const event of eventsOf(bytes)) apply(event, frames)
        if (completion.last && !over) drain()
        if (frames.length > 0) return frames
      }
      return []
    } catch (thrown) {
      tell(toGatewayError(thrown))
      throw thrown
    }
  }

  function end(frames: Frame[]): void {
    close()
    if (scope.ended !== null) throw scope.ended
    if (quiet.fired !== null && !completion.complete) throw quiet.fired
    for (const event of split.end()) apply(event, frames)
    for (const frame of reducer.end(state)) keep(frame, frames)
    if (completion.complete || completion.settled || frames.some(frame => frame.kind === 'error')) {
      tell(null)
      return
    }
    throw new GatewayError('upstream_error', 'The model server closed its stream before the answer was complete.', {
      cause: 'end of stream without finish_reason',
    })
  }

  /** Reads the end of the body behind the answer, so that the connection can serve again; not for longer than a second,
   * whatever a server still has to say. */
  function drain(): void {
    over = true
    draining = true
    quiet.stop()
    const disarm = clock.after(AFTER_FINISH_MS, incoming.close)
    const end = () => {
      disarm()
      incoming.close()
    }
    const rest = async () => {
      while ((await incoming.read()) !== null);
    }
    rest().then(end, end)
  }

  function stop(): void {
    quiet.stop()
    incoming.close()
  }

  function close(): void {
    over = true
    // What is behind a whole answer is read to its end, for a second at most.
    if (!draining) stop()
  }

  return { next, close }
}

/** Watches the silence of one stream with one timer for all its reads. Before the first content the first-token clock
 * is the one that counts: a server may send its headers at once and then read a long prompt. */
function createQuietWatch(options: {
  readonly clock: Clock
  readonly idleMs: number
  readonly incoming: Incoming
  /** Whether the answer is there: that the connection breaks behind it does no harm. */
  readonly isWhole: () => boolean
}) {
  const { clock, idleMs, incoming } = options
  let limitMs = idleMs
  let begun = false
  let readStartedAt = 0
  let fired: GatewayError | null = null
  let disarm: (() => void) | null = null

  function arm(ms: number): void {
    disarm = clock.after(ms, () => {
      const waited = readStartedAt === 0 ? 0 : clock.now() - readStartedAt
      if (waited < limitMs) return arm(limitMs - waited)
      fired = new GatewayError('upstream_idle_timeout', 'The model server fell silent in the middle of its answer.')
      incoming.close()
    })
  }

  return {
    get fired() {
      return fired
    },
    get begun() {
      return begun
    },
    async read(): Promise<Uint8Array | null> {
      readStartedAt = clock.now()
      if (begun && disarm === null) arm(limitMs)
      try {
        return await incoming.read()
      } catch (thrown) {
        if (fired === null && !options.isWhole()) throw thrown
        return null
      } finally {
        readStartedAt = 0
      }
    },
    begin(): void {
      begun = true
    },
    /** From now on only a short silence is borne: the answer is there. */
    shorten(): void {
      if (limitMs === AFTER_FINISH_MS) return
      limitMs = Math.min(limitMs, AFTER_FINISH_MS)
      disarm?.()
      arm(limitMs)
    },
    stop(): void {
      disarm?.()
    },
  }
}

/** Judges from the frames whether an answer is whole. */
function createCompletion(expected: number) {
  const open = new Set<number>()
  const closed = new Set<number>()
  let done = false
  let counted = false
  return {
    see(frame: DataFrame): void {
      if (frame.usage !== null) counted = true
      if (frame.kind === 'usage') return
      for (const choice of frame.chunk.choices ?? []) {
        const index = choice.index ?? 0
        if (choice.finish_reason) {
          open.delete(index)
          closed.add(index)
        } else if (!closed.has(index)) open.add(index)
      }
    },
    done(): void {
      done = true
    },
    /** Every choice that was asked for has finished, or the server says that this is all. */
    get complete(): boolean {
      return done || closed.size >= expected
    },
    /** No choice that began is unfinished: enough when the connection has closed. */
    get settled(): boolean {
      return closed.size > 0 && open.size === 0
    },
    /** Nothing more is to come. */
    get last(): boolean {
      return done || (counted && closed.size >= expected)
    },
  }
}

function expectedChoices(body: JsonObject): number {
  const n = typeof body.n === 'number' && body.n > 1 ? body.n : 1
  const prompts = Array.isArray(body.prompt) && typeof body.prompt[0] !== 'number' ? body.prompt.length : 1
  return n * Math.max(1, prompts)
}

function createSplitter(framing: Provider['framing']): { push(text: string): StreamEvent[]; end(): StreamEvent[] } {
  if (framing === 'sse') return createSseParser()
  const lines = createLineSplitter()
  const toEvents = (found: string[]) => found.map(data => ({ name: '', data }))
  return { push: text => toEvents(lines.push(text)), end: () => toEvents(lines.end()) }
}
