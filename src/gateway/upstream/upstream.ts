import type { Bypass } from '#core/bypass.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { type Frame, isContent } from '#core/frame.ts'
import type { Scope } from '#core/scope.ts'
import type { Server } from '#core/servers.ts'
import type { Provider, StreamEvent } from '#providers/provider.ts'
import type { Incoming } from '#providers/transport.ts'
import { invalidAnswer } from '#providers/upstream-error.ts'
import { Completion } from './completion.ts'
import { isExcessive } from './excess.ts'
import { hideSecrets } from './hide.ts'
import { Likenesses } from './likeness.ts'
import { AFTER_FINISH_MS, QuietWatch } from './quiet.ts'
import { createSplitter } from './splitter.ts'

/** How many events of one stream may be unreadable before the whole stream counts as garbage. */
const SKIPPED_EVENTS_MAX = 3
/** How many members all objects of one event may have together: as many as a million characters can hold. A picture may
 * make an event longer, but is one text; millions of members would block the event loop for a second. */
const EVENT_MEMBERS_MAX = 200_000
const LF = 10

/** An upstream stream, read as frames. */
export interface UpstreamStream {
  /** The next frames; an empty list once the answer is complete.
   *
   * @throws GatewayError when it broke off, fell silent or turned to garbage. */
  next(): Promise<readonly Frame[]>
  /** As of an answer. */
  bypass?(to: Bypass | null): void
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
  /** The server that answers; errors never contain its secrets. */
  readonly server: Server
  readonly onSkipped: () => void
  /** Called once for a stream that had content: with `null` when it is whole, else with why it broke off. */
  readonly onEnd: (error: GatewayError | null) => void
}): UpstreamStream {
  const { incoming, provider, scope, clock } = options
  const decoder = new TextDecoder()
  const split = createSplitter(provider.framing)
  const reducer = provider.stream(options.call, incoming.head)
  const completion = new Completion(options.call.body)
  const quiet = new QuietWatch(clock, options.idleMs, () => incoming.close())
  let state = reducer.start()
  let skipped = 0
  let over = false
  let draining = false
  let told = false
  let likenesses: Likenesses | null = null
  /** Whether what was read so far ended with an event. */
  let between = false

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
      if (isExcessive(event.data, EVENT_MEMBERS_MAX)) throw new RangeError('an event with too many levels or members')
      const [next, produced] = reducer.step(state, event)
      if (next !== state) likenesses?.forget()
      else if (likenesses !== null) learn(likenesses, event, produced)
      state = next
      for (const frame of produced) keep(frame, frames)
    } catch (thrown) {
      options.onSkipped()
      if (++skipped <= SKIPPED_EVENTS_MAX) return
      // The parser's message quotes the text that is no JSON, which may be what the model said.
      throw invalidAnswer('too many unreadable events', thrown instanceof SyntaxError ? undefined : thrown)
    }
  }

  function learn(from: Likenesses, event: StreamEvent, [frame]: readonly Frame[]): void {
    if (frame?.kind !== 'delta') return
    const saying = reducer.saying?.(frame) ?? null
    if (saying !== null) from.learn(event, frame, saying)
  }

  function bypass(to: Bypass | null): void {
    if (to === null) {
      likenesses = null
      incoming.divert?.(null)
      return
    }
    const known = new Likenesses(said => {
      if (!to(said)) return false
      quiet.heard(said.at)
      return true
    }, clock)
    likenesses = known
    incoming.divert?.((bytes, start, end) => {
      return between && !over && quiet.begun ? known.take(bytes, start, end) : start
    })
  }

  function tell(error: GatewayError | null): void {
    if (told || !quiet.begun) return
    told = true
    options.onEnd(error)
  }

  function keep(frame: Frame, frames: Frame[]): void {
    if (frame.kind === 'error') {
      const error = hideSecrets(frame.error, options.server)
      frames.push({ ...frame, error })
      tell(error)
    } else {
      frames.push(frame)
      completion.see(frame)
      if (isContent(frame)) quiet.begun = true
    }
    if (completion.complete) {
      quiet.shorten()
      tell(null)
    }
  }

  async function next(): Promise<readonly Frame[]> {
    try {
      while (!over) {
        let bytes: Uint8Array | null = null
        quiet.wait()
        try {
          bytes = await incoming.read()
        } catch (thrown) {
          // A connection that breaks after the whole answer, or was closed for its silence, has ended as usual.
          if (quiet.fired === null && !completion.complete) throw thrown
        } finally {
          quiet.rest()
        }
        const frames: Frame[] = []
        if (bytes === null) end(frames)
        else {
          for (const event of eventsOf(bytes)) apply(event, frames)
          between = split.between && bytes.at(-1) === LF
        }
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
    const disarm = clock.after(AFTER_FINISH_MS, () => incoming.close())
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
    // The rest of the body behind a whole answer is read to its end, for a second at most.
    if (!draining) stop()
  }

  return reducer.saying === undefined || incoming.divert === undefined ? { next, close } : { next, bypass, close }
}
