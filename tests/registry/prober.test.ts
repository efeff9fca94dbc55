import { describe, expect, test } from 'bun:test'
import { createJournal, type Fact } from '#core/journal.ts'
import type { Server } from '#core/servers.ts'
import type { ProbeResult } from '#registry/health.ts'
import { createProber } from '#registry/prober.ts'
import { createStates } from '#registry/states.ts'
import { server } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { healthSettings as settings, targetOf } from '#tests/support/fleet.ts'

const good: ProbeResult = { ok: true, latencyMs: 12, reason: null }
const bad: ProbeResult = { ok: false, latencyMs: 3, reason: 'connection refused' }

function setup(answer: (server: Server, signal: AbortSignal) => Promise<ProbeResult>) {
  const clock = fakeClock()
  const states = createStates()
  const facts: Fact[] = []
  const probed: number[] = []
  const prober = createProber({
    clock,
    states,
    journal: createJournal([fact => facts.push(fact)]),
    random: () => 0,
    probe(server, signal) {
      probed.push(clock.now())
      return answer(server, signal)
    },
  })
  /** Lets time pass in steps of a second, with what each step sets off. */
  async function pass(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      clock.advance(1000)
      await settled()
    }
  }
  async function begin(): Promise<void> {
    prober.watch([server('a')], settings)
    prober.start()
    clock.advance(0)
    await settled()
  }
  return { clock, states, facts, probed, prober, pass, begin, state: states.server('a') }
}

describe('probes', () => {
  test('come at the interval while the server is well', async () => {
    const { begin, pass, probed } = setup(async () => good)
    await begin()
    await pass(90)

    expect(probed).toEqual([0, 30_000, 60_000, 90_000])
  })

  test('make a server healthy at the first good one', async () => {
    const { begin, state, facts, clock } = setup(async () => good)
    await begin()

    expect(state).toMatchObject({ health: 'healthy', latencyMs: 12, seenAt: clock.time(), reason: null })
    expect(facts).toEqual([{ type: 'health-changed', server: 'a', from: 'unknown', to: 'healthy', reason: null }])
  })

  test('take a server out after three failures, within 15 seconds of the first', async () => {
    let well = true
    const { begin, pass, state, facts } = setup(async () => (well ? good : bad))
    await begin()
    well = false
    await pass(39)
    const before = state.health
    await pass(1)

    expect([before, state.health]).toEqual(['healthy', 'unhealthy'])
    expect(facts.at(-1)).toMatchObject({ from: 'healthy', to: 'unhealthy', reason: 'connection refused' })
  })

  test('bring a server back after five good ones in a row, within 30 seconds', async () => {
    let well = false
    const { begin, pass, state } = setup(async () => (well ? good : bad))
    await begin()
    await pass(10)
    expect(state.health).toBe('unhealthy')

    well = true
    await pass(24)
    const before = state.health
    await pass(1)

    expect([before, state.health]).toEqual(['unhealthy', 'healthy'])
  })

  test('begin to count anew when a good one comes between', async () => {
    const outcomes = [bad, bad, good, bad, bad, good]
    const { begin, pass, facts } = setup(async () => outcomes.shift() ?? good)
    await begin()
    await pass(60)

    expect(facts).toMatchObject([{ from: 'unknown', to: 'healthy' }])
  })

  test('of a server that is out begin to count anew when a failure comes between', async () => {
    const four = [good, good, good, good]
    const outcomes = [bad, bad, bad, ...four, bad, ...four]
    const { begin, pass, state } = setup(async () => outcomes.shift() ?? good)
    await begin()
    await pass(55)
    const before = state.health
    await pass(5)

    expect([before, state.health]).toEqual(['unhealthy', 'healthy'])
  })

  test('come at once when calls fail, so that a loss is seen within fifteen seconds', async () => {
    let up = true
    const { begin, pass, probed, prober, state } = setup(async () => (up ? good : bad))
    await begin()
    await pass(4)
    up = false

    prober.suspect('a')
    await pass(11)

    expect(probed).toEqual([0, 4000, 9000, 14_000])
    expect(state.health).toBe('unhealthy')
  })

  test('that come because calls fail prove nothing while they are good', async () => {
    const { begin, pass, prober, state } = setup(async () => good)
    await begin()
    const proved = [state.provedAt]
    await pass(4)

    prober.suspect('a')
    await pass(1)
    proved.push(state.provedAt)
    await pass(30)
    proved.push(state.provedAt)

    expect(proved).toEqual([0, 0, 34_000])
  })

  test('come no sooner for a second doubt, nor for a server that is not probed', async () => {
    const { begin, pass, probed, prober } = setup(async () => bad)
    await begin()

    for (const id of ['a', 'a', 'nobody']) prober.suspect(id)
    await pass(5)

    expect(probed).toEqual([0, 5000])
  })

  test('that are far too slow have failed', async () => {
    const { begin, pass, state } = setup(async () => ({ ...good, latencyMs: 5001 }))
    await begin()
    await pass(10)

    expect([state.health, state.reason]).toEqual(['unhealthy', 'it answered only after 5001 ms'])
  })

  test('that are slow make a server degraded, and quick ones well again', async () => {
    let latencyMs = 1500
    const { begin, pass, state, facts } = setup(async () => ({ ...good, latencyMs }))
    await begin()
    const slow = state.health
    latencyMs = 1000
    await pass(30)

    expect([slow, state.health]).toEqual(['degraded', 'healthy'])
    expect(facts[0]).toMatchObject({ to: 'degraded', reason: 'answered after 1500 ms' })
  })

  test('that take too long count as failed, and are aborted, which is no second failure', async () => {
    const aborted: boolean[] = []
    const { begin, pass, state } = setup(
      (_, signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            aborted.push(true)
            reject(new Error('aborted'))
          })
        }),
    )
    await begin()
    await pass(10)

    expect(state).toMatchObject({ failures: 1, reason: 'no answer within 10 s' })
    expect(aborted).toEqual([true])
  })

  test('never overlap, and one that hangs for ever takes the server out', async () => {
    const { begin, pass, state, probed } = setup(() => new Promise(() => {}))
    await begin()
    await pass(35)

    expect(probed).toHaveLength(1)
    expect(state.health).toBe('unhealthy')
  })

  test('that throw count as failed', async () => {
    const { begin, state } = setup(() => {
      throw new Error('secret story')
    })
    await begin()

    expect(state).toMatchObject({ failures: 1, reason: 'the probe failed', health: 'unknown' })
  })

  test('start spread over a second', () => {
    const { prober, clock, probed } = setup(async () => good)
    const randoms = [0.25, 0.75]
    const spread = createProber({
      clock,
      states: createStates(),
      journal: createJournal([]),
      random: () => randoms.shift() ?? 0,
      async probe() {
        probed.push(clock.now())
        return good
      },
    })
    prober.stop()
    spread.watch([server('a'), server('b')], settings)
    spread.start()
    clock.advance(1000)

    expect(probed).toEqual([250, 750])
  })

  test('end when they are stopped, or their server is gone', async () => {
    const { begin, pass, prober, probed, clock } = setup(async () => good)
    await begin()
    prober.watch([], settings)
    await pass(60)
    prober.stop()

    expect([probed.length, clock.pending]).toEqual([1, 0])
  })

  test('go on in their rhythm when the same server is named again', async () => {
    const { prober, clock, probed, pass } = setup(async () => good)
    const same = server('a')
    prober.watch([same], settings)
    prober.start()
    clock.advance(0)
    await settled()
    await pass(10)
    prober.watch([same], { ...settings })
    await pass(20)

    expect(probed).toEqual([0, 30_000])
  })

  test('begin a new rhythm, and end the old one, when a reload names the server again', async () => {
    const { begin, prober, probed, pass } = setup(async () => good)
    await begin()
    await pass(10)
    prober.watch([server('a')], settings)
    await pass(50)

    expect(probed).toEqual([0, 10_000, 40_000])
  })

  test('know nothing of a server that has moved', async () => {
    const { begin, pass, state, prober } = setup(async () => bad)
    await begin()
    await pass(10)
    expect(state.health).toBe('unhealthy')

    prober.watch([server('a', { baseUrl: 'http://elsewhere.test/v1' })], settings)

    expect(state.health).toBe('unknown')
  })

  test('know nothing of a server that was gone meanwhile', async () => {
    const { begin, pass, state, prober, facts } = setup(async () => bad)
    await begin()
    await pass(10)
    expect(state.health).toBe('unhealthy')

    prober.watch([], settings)
    prober.watch([server('a')], settings)
    const back = state.health
    await pass(11)

    expect([back, state.health]).toEqual(['unknown', 'unhealthy'])
    expect(facts.filter(({ type }) => type === 'health-changed')).toHaveLength(2)
  })

  test('at another address begin with a server of which nothing is known, whatever its calls came to before', async () => {
    const { begin, states, prober } = setup(async () => good)
    await begin()
    const at = targetOf('a/m')
    const state = states.target(at)
    Object.assign(state, { coolUntil: 60_000, refusedUntil: 30_000, inFlight: 1 })
    Object.assign(state.breaker, { failures: 5, openings: 3, openUntil: 300_000 })
    const other = states.target(targetOf('b/m'))
    other.coolUntil = 60_000

    prober.watch([server('a', { baseUrl: 'http://elsewhere/v1' })], settings)

    expect(states.target(at)).toBe(state)
    expect(state).toMatchObject({ coolUntil: 0, refusedUntil: 0, inFlight: 1 })
    expect(state.breaker).toMatchObject({ failures: 0, openings: 0, openUntil: 0 })
    expect(other.coolUntil).toBe(60_000)
  })
})
