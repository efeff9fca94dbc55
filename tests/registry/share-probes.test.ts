import { describe, expect, test } from 'bun:test'
import type { GoodProbe, ProbeBoard } from '#core/probes.ts'
import type { ProbeResult } from '#registry/health.ts'
import { shareProbes } from '#registry/share-probes.ts'
import { createStates } from '#registry/states.ts'
import { server } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const INTERVAL_MS = 30_000
const GOOD: ProbeResult = { ok: true, latencyMs: 12, reason: null }

function boardOf(): ProbeBoard {
  const posted = new Map<string, GoodProbe>()
  return {
    async since(key, at) {
      const found = posted.get(key)
      return found !== undefined && found.at >= at ? found : null
    },
    post: async (key, probe) => void posted.set(key, probe),
  }
}

/** Processes over one board, which know the server `a` as well; each counts how often it asked. */
function processes(count: number, board = boardOf(), answer = async () => GOOD) {
  const clock = fakeClock()
  const all = Array.from({ length: count }, () => {
    const states = createStates()
    states.server('a').health = 'healthy'
    const self = { asked: 0 }
    const own = () => {
      self.asked++
      return answer()
    }
    const probe = shareProbes(own, { clock, states, board, intervalMs: () => INTERVAL_MS })
    return Object.assign(self, { states, probe: () => probe(server('a'), new AbortController().signal) })
  })
  return { clock, all }
}

describe('of several processes', () => {
  test('one asks a server that is well, always the same, and all know the answer', async () => {
    const { clock, all } = processes(3)
    const results: ProbeResult[] = []

    for (let turn = 0; turn < 4; turn++) {
      for (const each of all) {
        results.push(await each.probe())
        await settled()
        clock.advance(INTERVAL_MS / 3)
      }
    }

    expect(all.map(({ asked }) => asked)).toEqual([4, 0, 0])
    expect(results.every(({ ok, latencyMs }) => ok && latencyMs === 12)).toBe(true)
    expect(results[1]?.agoMs).toBe(INTERVAL_MS / 3)
  })

  test('another one asks when the one that did is gone', async () => {
    const { clock, all } = processes(2)
    const [first, second] = all
    await first?.probe()
    clock.advance(20_000)
    await second?.probe()
    clock.advance(INTERVAL_MS)
    await second?.probe()

    expect([first?.asked, second?.asked]).toEqual([1, 1])
  })

  test('each asks for itself once calls have failed there', async () => {
    const { all, clock } = processes(2)
    const [first, second] = all
    await first?.probe()
    await settled()
    clock.advance(1000)

    if (second !== undefined) second.states.server('a').suspectedAt = clock.time()
    await second?.probe()

    expect(second?.asked).toBe(1)
  })

  test('each asks for itself about a server that it does not know to be well', async () => {
    const { all } = processes(2)
    const [first, second] = all
    await first?.probe()
    await settled()
    const asked: (number | undefined)[] = []
    for (const health of ['unknown', 'unhealthy', 'degraded'] as const) {
      if (second !== undefined) second.states.server('a').health = health
      await second?.probe()
      asked.push(second?.asked)
    }

    expect(asked).toEqual([1, 2, 3])
  })

  test('bad news is not shared', async () => {
    const { all } = processes(2, boardOf(), async () => ({ ok: false, latencyMs: 3, reason: 'refused' }))

    for (const { probe } of all) expect((await probe()).ok).toBe(false)

    expect(all.map(({ asked }) => asked)).toEqual([1, 1])
  })
})

test('while the store is away everybody asks', async () => {
  const away = () => Promise.reject(new Error('away'))
  const { all } = processes(2, { since: away, post: away })

  for (const { probe } of all) expect(await probe()).toEqual(GOOD)
  await settled()

  expect(all.map(({ asked }) => asked)).toEqual([1, 1])
})

test('an answer from the future is of a clock that was wrong, and holds for nobody', async () => {
  const { clock, all } = processes(2)
  const [first, second] = all
  clock.jump(3_600_000)
  await first?.probe()
  await settled()
  clock.jump(-3_600_000)
  await second?.probe()
  clock.advance(INTERVAL_MS)
  await second?.probe()

  expect([first?.asked, second?.asked]).toEqual([1, 2])
})
