import type { Attempt, Live, Policy, Slot } from '#core/attempt.ts'
import { choicesAsked } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { contentLength, type Frame, isContent } from '#core/frame.ts'

/** The most that is held back before the first content, in events and in characters. A server that sends more without
 * content counts as one that does not answer. */
const HELD_EVENTS_MAX = 64
const HELD_CHARACTERS_MAX = 256 * 1024

type AttemptOptions = Parameters<Attempt>[0]

/** Creates the commit gate: holds a stream back until its first content, so that an HTTP 200 that turns out to be an
 * error, HTML or silence can still fail over.
 *
 * @throws GatewayError the server's own error when that comes first, `upstream_timeout` past the first-token clock,
 * `upstream_invalid_response` when too much comes without content, `content_policy_violation` when a filter has left
 * nothing of the answer and content is wanted. */
export function commitGate(clock: Clock): Policy {
  const holdStream = async (next: Attempt, attempt: AttemptOptions): Promise<Live> => {
    const { call, scope, slot } = attempt
    // With several choices the filter may have removed only some: the others are still an answer.
    const wantsContent = attempt.wantsContent === true && choicesAsked(call.body) === 1
    const disarm = clock.after(slot.candidate.target.timeouts.first_token, () =>
      scope.cancel(new GatewayError('upstream_timeout', 'The model server did not begin its answer in time.')),
    )
    try {
      const live = await next(attempt)
      return resumeFrom(live, await holdUntilContent(live, wantsContent), slot)
    } finally {
      disarm()
    }
  }
  // A plain answer arrives whole, so nothing has to be held back.
  const passPlain = (next: Attempt, attempt: AttemptOptions) =>
    attempt.wantsContent ? refuseFiltered(next, attempt) : next(attempt)
  return next => attempt => (attempt.call.stream ? holdStream(next, attempt) : passPlain(next, attempt))
}

/** Makes an attempt. A plain answer of which a content filter has left nothing is refused. */
async function refuseFiltered(next: Attempt, attempt: AttemptOptions): Promise<Live> {
  const live = await next(attempt)
  const frames = await live.next()
  if (!frames.some(isFilteredOut)) return resumeFrom(live, frames, attempt.slot)
  live.close()
  throw filteredOut()
}

/** Reads frames until the first content.
 *
 * @returns All that were read. */
async function holdUntilContent(live: Live, wantsContent: boolean): Promise<readonly Frame[]> {
  const held: Frame[] = []
  let characters = 0
  let committed = false
  try {
    while (true) {
      const frames = await live.next()
      if (frames.length === 0) throw noContent('the stream ended without content')
      for (const frame of frames) {
        // An error before the first content fails the attempt, so that another one can follow. After it, the error
        // belongs to the stream.
        if (frame.kind === 'error' && !committed) throw frame.error
        if (wantsContent && !committed && isFilteredOut(frame)) throw filteredOut()
        held.push(frame)
        if (frame.kind === 'error') continue
        committed ||= isContent(frame)
        characters += frame.text.length
      }
      if (committed) return held
      if (held.length > HELD_EVENTS_MAX || characters > HELD_CHARACTERS_MAX)
        throw noContent('too much came before the first content')
    }
  } catch (thrown) {
    live.close()
    throw thrown
  }
}

/** Whether a content filter has ended every choice of an answer without leaving any content. */
function isFilteredOut(frame: Frame): boolean {
  if (frame.kind !== 'finish') return false
  const { choices = [] } = frame.chunk
  const refused = choices.length > 0 && choices.every(choice => choice.finish_reason === 'content_filter')
  return refused && contentLength(frame.chunk) === 0
}

function filteredOut(): GatewayError {
  return new GatewayError('content_policy_violation', 'A content filter has refused to let the model answer.')
}

function noContent(cause: string): GatewayError {
  return new GatewayError('upstream_invalid_response', 'The model server sent an answer that could not be read.', {
    cause,
  })
}

/** Makes an answer that gives the frames which were read already, and then the rest.
 *
 * @param slot Its place, free with its end. That of a stream which fails before is free only when the failure was told:
 * a call that waits would get it at a server which has just asked to be left alone. */
function resumeFrom(live: Live, held: readonly Frame[], slot: Slot): Live {
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
    bypass: to => live.bypass?.(to),
    close() {
      live.close()
      slot.release()
    },
  }
}
