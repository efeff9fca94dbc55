import { describe, expect, test } from 'bun:test'
import type { Live } from '#core/attempt.ts'
import type { CacheSettings } from '#core/cache.ts'
import { type Code, GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { type Asked, createFlights, type Depart } from '#gateway/answers/share.ts'
import { startFlight } from '#gateway/flights/flight.ts'
import { SharedAnswer } from '#gateway/flights/shared-answer.ts'
import { anyone, call, frame, liveOf } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { snapshotOf } from '#tests/support/fleet.ts'
import { recordOf } from '#tests/support/records.ts'

const settings: CacheSettings = {
  ...{ chatTtlMs: 1000, embeddingsTtlMs: 1000, onlyDeterministic: false, scope: 'tenant' },
  ...{ coalesce: true, keepPace: false },
}
const clock = fakeClock()

/** A call of the key with this id (behind a space, of which of its end users), and how it departs: what it asks of a
 * server comes from `work`. */
function calling(named: string, stream: boolean, work: () => Promise<Live>, address = '10.0.0.1') {
  const [id = '', user = null] = named.split(' ')
  const record = recordOf({ cache: null, user, address })
  const scope = createScope(clock)
  const asked: Asked = {
    call: call({ caller: { ...anyone, id, role: 'caller' }, stream }),
    ...{ text: '', record, scope, settings, snapshot: snapshotOf([]) },
    cache: { read: true, store: true, share: true, maxAgeMs: Infinity, onlyStored: false },
    wishes: { server: null, strategy: null, maxAttempts: null },
  }
  const depart: Depart = () => ({
    flight: sharing => startFlight(work(), createScope(clock), sharing),
    alone: work,
    finished() {},
    sharedAnswer: (first, onOver) => new SharedAnswer(work(), { scope: first.child(), first, record, onOver }),
  })
  return { asked, record, depart }
}

const answer = () => Promise.resolve(liveOf([[frame('finish', 'all of it')]]))

describe.each([false, true])('a call that waits for the answer to another one (streamed: %p)', stream => {
  async function afterRefusal(code: Code, others: readonly string[], address?: string) {
    const flights = createFlights(clock)
    const work = Promise.withResolvers<Live>()
    let departures = 0
    const depart = () => {
      departures++
      return answer()
    }
    const leader = calling('poor', stream, () => work.promise)
    const followers = others.map(id => calling(id, stream, depart, address))
    const all = [leader, ...followers].map(each =>
      flights
        .take(each.asked, 'chat:a', each.depart, () => {})
        .then(
          () => 'answered',
          (error: GatewayError) => error.code,
        ),
    )
    work.reject(new GatewayError(code, 'not you'))
    return { ends: await Promise.all(all), departures, cache: followers.map(({ record }) => record.cache?.status) }
  }

  test.each(['rate_limit_exceeded', 'token_limit_exceeded', 'concurrency_limit_exceeded', 'budget_exceeded'] as const)(
    'is not refused for the sake of another key: %s',
    async code => {
      const { ends, departures, cache } = await afterRefusal(code, ['rich', 'richer', 'richest'])

      expect(ends).toEqual([code, 'answered', 'answered', 'answered'])
      expect(departures).toBe(1)
      expect(cache).toEqual(['miss', 'coalesced', 'coalesced'])
    },
  )

  test('is not refused for the sake of another end user or address of its key', async () => {
    expect((await afterRefusal('token_limit_exceeded', ['poor anna'])).ends[1]).toBe('answered')
    expect((await afterRefusal('token_limit_exceeded', ['poor'], '10.0.0.2')).ends[1]).toBe('answered')
  })

  test('shares the refusal of its own key, and what a server says', async () => {
    expect((await afterRefusal('budget_exceeded', ['poor'])).ends).toEqual(['budget_exceeded', 'budget_exceeded'])
    expect((await afterRefusal('queue_timeout', ['rich'])).ends).toEqual(['queue_timeout', 'queue_timeout'])
  })
})
