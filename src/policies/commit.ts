import type { Attempt, Live, Policy } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { type Frame, isContent } from '#core/frame.ts'

/** What may be held back before the first content: a server that only talks about nothing is not answering. */
const HELD_EVENTS_MAX = 64
const HELD_CHARACTERS_MAX = 256 * 1024

/** Creates the commit gate: holds a stream back until its first content, so that an HTTP 200 that turns out to be an
 * error, HTML or silence can still fail over.
 *
 * @throws GatewayError the server's own error when that comes first, `upstream_timeout` past the first-token clock,
 * `upstream_invalid_response` when too much comes without content. */
export function commitGate(clock: Clock): Policy {
  const gated = async (next: Attempt, attempt: Parameters<Attempt>[0]): Promise<Live> => {
    const { scope, slot } = attempt
    const disarm = clock.after(slot.candidate.target.timeouts.first_token, () =>
      scope.cancel(new GatewayError('upstream_timeout', 'The model server did not begin its answer in time.')),
    )
    try {
      const live = await next(attempt)
      return replay(live, await holdUntilContent(live))
    } finally {
      disarm()
    }
  }
  // A plain answer is committed when it is there.
  return next => attempt => (attempt.call.stream ? gated(next, attempt) : next(attempt))
}

async function holdUntilContent(live: Live): Promise<readonly Frame[]> {
  const held: Frame[] = []
  let characters = 0
  let committed = false
  try {
    while (true) {
      const frames = await live.next()
      if (frames.length === 0) throw empty('the stream ended without content')
      for (const frame of frames) {
        // After the first content an error belongs to the stream; before it, to the attempt.
        if (frame.kind === 'error' && !committed) throw frame.error
        held.push(frame)
        if (frame.kind === 'error') continue
        committed ||= isContent(frame)
        characters += frame.text.length
      }
      if (committed) return held
      if (held.length > HELD_EVENTS_MAX || characters > HELD_CHARACTERS_MAX)
        throw empty('too much came before the first content')
    }
  } catch (thrown) {
    live.close()
    throw thrown
  }
}

function empty(cause: string): GatewayError {
  return new GatewayError('upstream_invalid_response', 'The model server sent an answer that could not be read.', {
    cause,
  })
}

function replay(live: Live, held: readonly Frame[]): Live {
  let first: readonly Frame[] | null = held
  return {
    target: live.target,
    model: live.model,
    next() {
      if (first === null) return live.next()
      const frames = first
      first = null
      return Promise.resolve(frames)
    },
    close: live.close,
  }
}
