import { describe, expect, test } from 'bun:test'
import type { Live } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { SharedAnswer } from '#gateway/flights/shared-answer.ts'
import type { Whole } from '#gateway/flights/shared-log.ts'
import { drain, frame, liveOf } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { recordOf } from '#tests/support/records.ts'

const left = new GatewayError('client_closed_request', 'gone')
const answer = frame('finish', 'all of it')

/** An answer that comes when the test lets it, asked for by a first caller.
 *
 * @param within How long that one waits; its own time is nobody else's. */
function shared(within?: number) {
  const clock = fakeClock()
  const first = createScope(clock, within === undefined ? {} : { within })
  const scope = within === undefined ? first.child() : createScope(clock)
  const work = Promise.withResolvers<Live>()
  scope.onEnd(work.reject)
  const told: (Whole | null)[] = []
  const live = liveOf([[answer]])
  const sharing = new SharedAnswer(work.promise, {
    scope,
    first,
    record: recordOf(),
    onOver: whole => void told.push(whole),
  })
  const leading = sharing.lead()
  leading.catch(() => {})
  return { clock, first, scope, live, told, sharing, leading, come: () => work.resolve(live), fail: work.reject }
}

/** What became of a wait: the frames, or the code of the error. */
async function end(waiting: Promise<Live>): Promise<unknown> {
  return waiting.then(drain).catch((error: GatewayError) => error.code)
}

describe('a plain answer that may be shared', () => {
  test('is for all who waited the same, from one source, and told once', async () => {
    const { sharing, leading, come, told, live, scope } = shared()
    const others = [
      sharing.join(createScope(fakeClock()), recordOf()),
      sharing.join(createScope(fakeClock()), recordOf()),
    ]
    come()

    expect(await Promise.all([leading, ...others].map(end))).toEqual([[answer], [answer], [answer]])
    expect(told.map(whole => whole?.frames)).toEqual([[answer]])
    expect([sharing.open, live.closed()]).toEqual([false, 1])
    expect(scope.ended).toBeNull()
  })

  test('ends with its first caller as long as nobody else waits', async () => {
    const { sharing, leading, first, scope, told } = shared()

    first.cancel(left)

    expect([sharing.open, scope.ended]).toEqual([false, left])
    expect(await end(leading)).toBe('client_closed_request')
    expect(told).toEqual([null])
  })

  test('goes on for the others when the first caller has left', async () => {
    const { sharing, leading, first, scope, come } = shared()
    const other = sharing.join(createScope(fakeClock()), recordOf())

    first.cancel(left)
    first.close()
    come()

    expect(scope.ended).toBeNull()
    expect([await end(other), await end(leading)]).toEqual([[answer], 'client_closed_request'])
  })

  test('ends with the last of several', async () => {
    const { sharing, first, scope } = shared()
    const own = createScope(fakeClock())
    const other = sharing.join(own, recordOf())

    own.cancel(left)
    const withOne = scope.ended
    first.cancel(left)

    expect([withOne, scope.ended?.code]).toEqual([null, 'client_closed_request'])
    expect(await end(other)).toBe('client_closed_request')
  })

  test('hands the same failure to all requests that share it', async () => {
    const { sharing, leading, fail, told } = shared()
    const other = sharing.join(createScope(fakeClock()), recordOf())
    fail(new GatewayError('all_targets_failed', 'none'))

    expect([await end(leading), await end(other)]).toEqual(['all_targets_failed', 'all_targets_failed'])
    expect([told, sharing.open]).toEqual([[null], false])
  })

  test('a short time is its own: of the first caller, and of one who joins', async () => {
    for (const within of [10, undefined]) {
      const { clock, sharing, leading, scope, come } = shared(within)
      const other = end(sharing.join(createScope(clock, within === undefined ? { within: 10 } : {}), recordOf()))
      clock.advance(10)
      await settled()
      const ended = scope.ended
      come()
      const [short, long] = within === undefined ? [other, end(leading)] : [end(leading), other]

      expect(ended).toBeNull()
      expect([await short, await long]).toEqual(['deadline_exceeded', [answer]])
    }
  })

  test('whose only caller has run out of time ends, also before it began to wait', async () => {
    const clock = fakeClock()
    const first = createScope(clock, { within: 10 })
    clock.advance(10)
    const scope = createScope(clock)
    const work = new Promise<Live>((_, reject) => scope.onEnd(reject))
    const sharing = new SharedAnswer(work, { scope, first, record: recordOf(), onOver: () => {} })

    expect(await end(sharing.lead())).toBe('deadline_exceeded')
    expect(scope.ended?.code).toBe('client_closed_request')
    await settled()
  })
})
