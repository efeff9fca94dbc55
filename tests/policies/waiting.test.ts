import { describe, expect, test } from 'bun:test'
import type { Attempt, Candidate, Slot } from '#core/attempt.ts'
import { createScope } from '#core/scope.ts'
import type { RetrySettings } from '#core/snapshot.ts'
import { isAvailable } from '#core/states.ts'
import { createQueue } from '#gateway/queue/queue.ts'
import { failover } from '#policies/failover.ts'
import { createStates } from '#registry/states.ts'
import { call, liveOf } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { policiesFor } from '#tests/support/policies.ts'
import { fail, limited, planOf } from '#tests/support/retries.ts'

/** Calls that wait in one queue; every target takes two of them at once. */
function setup(attempt: Attempt, retry: Partial<RetrySettings> = {}) {
  const [clock, states] = [fakeClock(), createStates()]
  const queue = createQueue({ states, clock, available: target => isAvailable(states.target(target), clock.now()) })
  const slots = queue.slotsFor({ caller: 'x', priority: 'normal', waited: () => {} })
  const deps = { ...policiesFor(states, clock, { retry }), slots }
  const all = planOf(['a', 'b', 'c']).candidates.map(each => ({
    ...each,
    target: { ...each.target, maxConcurrent: 2 },
  })) as [Candidate, Candidate, Candidate]
  const tried: string[] = []
  const noted: Attempt = given => {
    tried.push(`${given.slot.candidate.target.server.id} ${clock.now()}`)
    return attempt(given)
  }
  const trail = { begin: () => ({ server: '', model: '', startedAt: 0, ms: 0, result: null, cause: null }) }
  const ask = (candidates: readonly Candidate[], later: readonly Candidate[] = []) => {
    const plan = { ...planOf([]), candidates, later }
    return failover(deps)(noted)(call({ stream: false }), plan, createScope(clock), trail).next()
  }
  const fill = (candidate: Candidate) => [0, 1].map(() => slots.take([candidate], createScope(clock), []) as Slot)
  return { clock, states, all, ask, fill, tried, budget: deps.budget }
}

describe('a call that waits for a place', () => {
  test('after a failure waits for targets that are out, too', async () => {
    const { clock, states, all, ask, fill, tried } = setup(({ slot }) =>
      slot.candidate.target.server.id === 'a' ? Promise.reject(fail('upstream_timeout')) : Promise.resolve(liveOf([])),
    )
    const [a, b, c] = all
    fill(b)
    states.target(c.target).coolUntil = 400
    const run = ask([a, b], [c])
    await settled()

    clock.advance(500)
    await run

    expect(tried).toEqual(['a 0', 'c 500'])
  })

  test('behind a failure goes to the target that failed again, unless the other one is free first', async () => {
    const ran: (readonly string[])[] = []
    for (const freedAt of [null, 100]) {
      let failures = 0
      const { clock, all, ask, fill, tried } = setup(() =>
        failures++ === 0 ? Promise.reject(fail('upstream_error')) : Promise.resolve(liveOf([])),
      )
      const [a, b] = all
      const [place] = fill(b)
      const run = ask([a, b])
      await settled()

      clock.advance(100)
      if (freedAt !== null) place?.release()
      await settled()
      clock.advance(150)
      await run
      ran.push(tried)
    }

    expect(ran).toEqual([
      ['a 0', 'a 250'],
      ['a 0', 'b 100'],
    ])
  })

  test('behind a failure tries the target again where calls do not wait for the other one', async () => {
    let failures = 0
    const { all, ask, fill, tried } = setup(() =>
      failures++ === 0 ? Promise.reject(fail('upstream_error')) : Promise.resolve(liveOf([])),
    )
    const [a, b] = all.map(({ target, ...more }) => ({
      ...more,
      target: { ...target, timeouts: { ...target.timeouts, queue: 0 } },
    })) as typeof all
    fill(b)

    await ask([a, b])

    expect(tried).toEqual(['a 0', 'a 0'])
  })

  test('behind a failure holds up no other call at the target that failed', async () => {
    let failures = 0
    const { all, ask, fill, tried } = setup(() =>
      failures++ === 0 ? Promise.reject(fail('upstream_error')) : Promise.resolve(liveOf([])),
    )
    const [a, b] = all
    fill(b)
    void ask([a, b])
    await settled()

    await ask([a])

    expect(tried).toEqual(['a 0', 'a 0'])
  })

  test.each([
    ['has asked for a longer wait', 2000, 0],
    ['may be retried by no more calls', null, 3],
  ])('behind a failure waits for the other target alone where the first one %s', async (_, retryAfterMs, taken) => {
    const { clock, all, ask, fill, tried, budget } = setup(({ slot }) =>
      slot.candidate.target.server.id === 'a'
        ? Promise.reject(fail('upstream_error', retryAfterMs === null ? {} : { retryAfterMs }))
        : Promise.resolve(liveOf([])),
    )
    const [a, b] = all
    const [place] = fill(b)
    for (let n = 0; n < taken; n++) budget.take()
    const run = ask([a, b])
    await settled()

    clock.advance(500)
    await settled()
    place?.release()
    await run

    expect(tried).toEqual(['a 0', 'b 500'])
  })

  test('to try a target again takes a fallback model rather than wait for that target to have a place', async () => {
    const { clock, all, ask, fill, tried } = setup(({ slot }) =>
      slot.candidate.fallback ? Promise.resolve(liveOf([])) : Promise.reject(limited(400)),
    )
    const [a, b] = all
    const run = ask([a, { ...b, fallback: true }])
    await settled()
    fill(a)

    clock.advance(500)
    await run

    expect(tried).toEqual(['a 0', 'b 500'])
  })

  test('goes on waiting while another one makes the trial for which both were let in', async () => {
    const trial = Promise.withResolvers<void>()
    // It has not been tried yet, so that it needs no place of the retry budget.
    const budget = { budgetPercent: 0, budgetMin: 0 }
    const { clock, states, all, ask, fill, tried } = setup(() => trial.promise.then(() => liveOf([])), budget)
    const [a] = all
    const busy = fill(a)
    const runs = [ask([a]), ask([a])]
    states.target(a.target).breaker.openUntil = -1
    for (const slot of busy) slot.release()
    await settled()
    clock.advance(500)
    await settled()
    const during = [...tried]

    trial.resolve()
    await settled()
    clock.advance(250)
    await Promise.all(runs)

    expect([during, tried]).toEqual([['a 0'], ['a 0', 'a 750']])
  })
})
