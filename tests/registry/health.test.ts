import { expect, test } from 'bun:test'
import type { ProbedState } from '#core/crew.ts'
import { createJournal, type Fact } from '#core/journal.ts'
import { doubt, hearProbe, recordProbe } from '#registry/health.ts'
import { createProber } from '#registry/prober.ts'
import { createStates } from '#registry/states.ts'
import { server } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const settings = {
  intervalMs: 1000,
  timeoutMs: 500,
  unhealthyThreshold: 2,
  recoveryThreshold: 1,
  slowMs: 1000,
  criticalMs: 2000,
}

/** A worker that leads, and one that hears it. */
function setup() {
  const clock = fakeClock()
  const good = { now: true }
  const probes = { leading: 0, following: 0 }
  const worker = (
    role: keyof typeof probes,
    leads: () => boolean,
    onProbed: (id: string, state: ProbedState) => void,
  ) => {
    const states = createStates()
    const facts: Fact[] = []
    const journal = createJournal([fact => facts.push(fact)])
    const prober = createProber({
      ...{ clock, states, journal, random: () => 0, leads, onProbed },
      probe: async () => {
        probes[role]++
        return { ok: good.now, latencyMs: 5, reason: good.now ? null : 'refused' }
      },
    })
    prober.watch([server('a')], settings)
    prober.start()
    return { state: states.server('a'), facts, prober, journal }
  }
  const led = { now: false }
  const following = worker(
    'following',
    () => led.now,
    () => {},
  )
  worker(
    'leading',
    () => true,
    (_, state) => hearProbe(following.state, state, { clock, journal: following.journal }),
  )
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += 100) {
      clock.advance(100)
      await settled()
    }
  }
  return { clock, good, probes, following, led, pass }
}

test('one worker probes, and the other knows what it has found', async () => {
  const { probes, following, pass, good } = setup()
  await pass(1000)
  const well = { ...following.state }
  good.now = false
  await pass(10_000)

  expect(probes.following).toBe(0)
  expect(well).toMatchObject({ health: 'healthy', latencyMs: 5, reason: null })
  expect(well.provedAt).toBeGreaterThanOrEqual(0)
  expect(following.state).toMatchObject({ health: 'unhealthy', reason: 'refused' })
})

test('what was heard is no news for the log', async () => {
  const { following, pass } = setup()
  await pass(1000)

  expect(following.facts).toEqual([
    { type: 'health-changed', server: 'a', from: 'unknown', to: 'healthy', reason: null, heard: true },
  ])
})

test('only a good probe that was heard of, and no earlier than it was made, proves that calls will be well', () => {
  const clock = fakeClock()
  const journal = createJournal([])
  const [hears, shares] = [createStates().server('a'), createStates().server('a')]
  clock.advance(5000)
  const probed = { health: 'healthy', probedAt: 1, seenAt: 1, latencyMs: 5, reason: null } as const

  hearProbe(hears, { ...probed, failures: 1, successes: 0 }, { clock, journal })
  const bad = hears.provedAt
  hearProbe(hears, { ...probed, failures: 0, successes: 1 }, { clock, journal })
  const shared = { ok: true, latencyMs: 5, reason: null, agoMs: 2000 }
  recordProbe(shares, shared, { clock, journal, settings, proves: true })

  expect([bad, hears.provedAt, shares.provedAt]).toEqual([-1, 5000, 3000])
})

test('who leads from now on begins to probe', async () => {
  const { probes, following, led, pass } = setup()
  await pass(1000)
  led.now = true
  following.prober.lead()
  await pass(3000)

  expect(probes.following).toBeGreaterThanOrEqual(3)
})

test('a slow server is no better because an alert about it is over', () => {
  const clock = fakeClock()
  const state = createStates().server('a')
  const told: string[] = []
  const journal = { note: (fact: Fact) => void (fact.type === 'health-changed' && told.push(fact.to)) }
  recordProbe(state, { ok: true, latencyMs: 1500, reason: null }, { clock, journal, settings, proves: true })
  doubt(state, true, journal, settings.slowMs)
  doubt(state, false, journal, settings.slowMs)
  expect(state.health).toBe('degraded')

  recordProbe(state, { ok: true, latencyMs: 10, reason: null }, { clock, journal, settings, proves: true })
  doubt(state, true, journal, settings.slowMs)
  doubt(state, false, journal, settings.slowMs)

  expect(told).toEqual(['degraded', 'healthy', 'degraded', 'healthy'])
})
