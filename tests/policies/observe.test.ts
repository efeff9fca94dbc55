import { describe, expect, test } from 'bun:test'
import type { Candidate } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import { createJournal, type Fact } from '#core/journal.ts'
import { createScope } from '#core/scope.ts'
import { failover } from '#policies/failover.ts'
import { createHedges } from '#policies/hedge.ts'
import { createStates } from '#registry/states.ts'
import { call, liveOf, planFor } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { policiesFor } from '#tests/support/policies.ts'

/** A call to `a` and then `b`, each of which answers after a time, or fails then. */
async function send(observed: boolean, a: number | Error, loaded: readonly string[] | null = null) {
  const clock = fakeClock()
  const states = createStates()
  const facts: Fact[] = []
  const journal = createJournal([fact => facts.push(fact)])
  const plan = { ...planFor('a', 'b'), observed }
  const [first, second] = plan.candidates as [Candidate, Candidate]
  const state = states.target(first.target)
  state.server.loaded = loaded === null ? null : new Set(loaded)
  const seen: (string | null)[] = []
  const run = failover({ ...policiesFor(states, clock, { journal }), hedges: createHedges(states) })(
    async ({ slot }) => {
      seen.push(state.server.loading)
      clock.advance(200)
      if (slot.candidate === first && a instanceof Error) throw a
      return liveOf([])
    },
  )
  const trail = {
    begin: ({ target }: Candidate) => ({
      server: target.server.id,
      model: target.upstreamModel,
      startedAt: clock.now(),
      ms: 0,
      result: null,
      cause: null,
    }),
  }
  await run(call(), plan, createScope(clock), trail).next()
  return { state, other: states.target(second.target), facts, seen }
}

describe('a strategy that learns', () => {
  test('is told how long the first content took', async () => {
    const { state } = await send(true, 0)

    expect(state.ewma.streamed.ms).toBe(200)
    expect(state.ewma.plain.at).toBe(0)
  })

  test('is told that a failure took at least so long', async () => {
    const { state, other } = await send(true, new GatewayError('upstream_error', 'It broke.'))

    expect([state.ewma.streamed.ms, other.ewma.streamed.ms]).toEqual([200, 200])
  })

  test('sees that a model is being loaded, and then is', async () => {
    const { state, facts, seen } = await send(true, 0, ['other'])

    expect(seen).toEqual(['m'])
    expect(state.server).toMatchObject({ loading: null, loaded: new Set(['m']) })
    expect(facts).toContainEqual({ type: 'model-loaded', server: 'a', model: 'm' })
  })

  test('does not take a model for loaded when the call has failed', async () => {
    const { state } = await send(true, new GatewayError('upstream_error', 'It broke.'), ['other'])

    expect(state.server).toMatchObject({ loading: null, loaded: new Set(['other']) })
  })
})

test('a strategy that does not learn costs nothing: no state is touched', async () => {
  const { state, facts } = await send(false, 0, ['other'])

  expect(state.ewma).toEqual({ streamed: { ms: 0, at: 0 }, plain: { ms: 0, at: 0 } })
  expect(state.server).toMatchObject({ loading: null, loaded: new Set(['other']) })
  expect(facts.map(fact => fact.type)).not.toContain('model-loaded')
})
