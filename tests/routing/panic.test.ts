import { describe, expect, test } from 'bun:test'
import type { Candidate } from '#core/attempt.ts'
import type { GatewayError } from '#core/errors.ts'
import type { TargetState } from '#core/states.ts'
import { createStates } from '#registry/states.ts'
import { noneAvailable } from '#routing/panic.ts'
import { model, server } from '#tests/support/calls.ts'
import { targetOf } from '#tests/support/fleet.ts'

const NOW = 1000

/** What is decided when the targets are in these states. */
function decide(states: readonly ((state: TargetState) => void)[], maxConcurrent = 0, atServer = 0) {
  const all = createStates()
  const at = (id: string) => ({ maxConcurrent, server: server(id, { maxConcurrent: atServer }) })
  const targets = states.map((_, n) => targetOf(`s${n}/m`, at(`s${n}`)))
  const only = model('m', targets)
  const candidates: Candidate[] = targets.map(target => ({ target, model: only, reason: 'test' }))
  for (const [at, set] of states.entries()) set(all.target(targetOf(`s${at}/m`)))
  try {
    const chosen = noneAvailable(candidates, [only], { states: all, now: NOW })
    return {
      chosen: chosen.map(({ target }) => target.server.id),
      doubted: chosen.every(each => each.doubted),
      error: null,
    }
  } catch (thrown) {
    return { chosen: [], doubted: false, error: thrown as GatewayError }
  }
}

const down = (state: TargetState) => {
  state.server.health = 'unhealthy'
}
const open = (ms: number) => (state: TargetState) => {
  state.breaker.openedAt = 500
  state.breaker.openUntil = NOW + ms
}
const busy = (inFlight: number, set: (state: TargetState) => void) => (state: TargetState) => {
  state.inFlight = inFlight
  set(state)
}
const cooling = (ms: number) => (state: TargetState) => {
  state.coolUntil = NOW + ms
}
const refused = (state: TargetState) => {
  state.refusedUntil = NOW + 5000
}
const draining = (state: TargetState) => {
  state.server.draining = true
}

describe('when no target is available', () => {
  test('those that seem down are tried, when they are most of four or more', () => {
    expect(decide([down, open(9000), down, cooling(1000)])).toEqual({
      chosen: ['s0', 's1', 's2'],
      doubted: true,
      error: null,
    })
  })

  test('nothing is doubted while half of them are healthy, or of fewer than four', () => {
    expect(decide([down, down, cooling(2000), cooling(1000)]).error).toMatchObject({ retryAfterMs: 1000 })
    expect(decide([down, down, down]).error).toMatchObject({ code: 'no_healthy_upstream', retryAfterMs: 5000 })
  })

  test('a quarter of the places is risked on each', () => {
    const states = [busy(1, down), busy(2, down), down, down]

    expect(decide(states, 8).chosen).toEqual(['s2', 's3', 's0'])
    expect(decide(states, 0, 8).chosen).toEqual(['s2', 's3', 's0'])
    expect(decide(states, 4, 16).chosen).toEqual(['s2', 's3'])
  })

  test('one call is risked on each when all breakers are open', () => {
    const all = [open(9000), busy(1, open(9000)), open(9000), busy(1, open(3000))]

    expect(decide(all, 8).chosen).toEqual(['s0', 's2'])
    expect(
      decide(
        all.map(set => busy(1, set)),
        8,
      ).error?.code,
    ).toBe('no_healthy_upstream')
  })

  test('more than one call is risked while a breaker is closed', () => {
    const states = [busy(1, open(9000)), busy(1, down), busy(2, down), down]

    expect(decide(states, 8).chosen).toEqual(['s3', 's0', 's1'])
  })

  test('what is drained, limited or refused is never tried', () => {
    const more = (set: (state: TargetState) => void) => (state: TargetState) => {
      down(state)
      set(state)
    }

    expect(decide([more(draining), more(cooling(5)), more(refused), down, down]).chosen).toEqual(['s3', 's4'])
  })

  test('the soonest time at which that can change is told', () => {
    expect(decide([open(3000), open(2000), down]).error).toMatchObject({
      code: 'no_healthy_upstream',
      retryAfterMs: 2000,
    })
    expect(decide([cooling(700), cooling(300)]).error).toMatchObject({
      code: 'provider_rate_limited',
      retryAfterMs: 300,
    })
  })

  test('nothing is promised of a server that is drained', () => {
    const leaving = (state: TargetState) => {
      cooling(300)(state)
      draining(state)
    }

    expect(decide([leaving, open(3000)]).error).toMatchObject({ code: 'no_healthy_upstream', retryAfterMs: 3000 })
  })

  test('a trial that is under way is waited for, not asked after at once', () => {
    const tried = (ms: number) => (state: TargetState) => {
      open(ms)(state)
      state.breaker.trial = true
    }

    expect(decide([tried(-200)]).error).toMatchObject({ code: 'no_healthy_upstream', retryAfterMs: 1000 })
    expect(decide([tried(50_000), open(3000)]).error?.retryAfterMs).toBe(1000)
    expect(decide([tried(-200), open(300)]).error?.retryAfterMs).toBe(300)
  })

  test('servers that refuse every key are told as such', () => {
    expect(decide([refused, refused]).error).toMatchObject({ code: 'upstream_auth_failed', shouldRetry: false })
    expect(decide([refused, open(3000)]).error).toMatchObject({ code: 'no_healthy_upstream', retryAfterMs: 3000 })
  })
})
