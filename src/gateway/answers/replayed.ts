import { replay, replayPlain } from '#cache/replay.ts'
import type { Live } from '#core/attempt.ts'
import type { CachedAnswer } from '#core/cache.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import { abandonable, type Scope } from '#core/scope.ts'
import type { Model, Target } from '#core/servers.ts'

/** What the replay of an answer is made of, beside the answer. */
export interface Replaying {
  readonly call: Call
  readonly model: Model
  readonly target: Target
  readonly clock: Clock
  /** The request's own. */
  readonly scope: Scope
  /** The request's own id, of which the answer's is made. */
  readonly id: string
}

/** Gives a stored answer as if it were under way; one whose pace was kept takes as long as it took. */
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
