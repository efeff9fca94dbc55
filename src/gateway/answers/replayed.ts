import { replay, replayPlain } from '#cache/replay.ts'
import type { Live } from '#core/attempt.ts'
import type { CachedAnswer } from '#core/cache.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { abandonable, type Scope } from '#core/scope.ts'
import type { Model, Target } from '#core/servers.ts'

/** What is needed to replay an answer, besides the answer. */
export interface Replaying {
  readonly call: Call
  readonly model: Model
  readonly target: Target
  readonly clock: Clock
  /** The scope of the request. */
  readonly scope: Scope
  /** The id of the request; the id of the answer is made of it. */
  readonly id: string
}

/** Gives a stored answer as if it were just being generated. If its pace was stored, the replay takes as long as the
 * original. */
export function replayed(answer: CachedAnswer, { call, model, target, clock, scope, id }: Replaying): Live {
  const prefix = call.endpoint === 'chat' ? 'chatcmpl' : 'cmpl'
  const fresh = { id: `${prefix}-${id.replaceAll('-', '')}`, created: Math.floor(clock.time() / 1000) }
  if (!call.stream) {
    const frames = [replayPlain(answer, call, fresh)]
    return { target, model, next: () => Promise.resolve(frames), close() {} }
  }
  const beats = replay(answer, call, fresh)
  const startedAt = clock.now()
  let disarm = () => {}
  return {
    target,
    model,
    async next() {
      const { value } = beats.next()
      if (!value) return []
      const waitMs = startedAt + value.atMs - clock.now()
      if (waitMs > 0) {
        const moment = new Promise<void>(resolve => {
          disarm = clock.after(waitMs, resolve)
        })
        await abandonable(moment, scope)
      }
      return value.frames
    },
    close: () => disarm(),
  }
}
