import { createJournal, type Fact } from '#core/journal.ts'
import { breakerOf, isAvailable } from '#core/states.ts'
import { createBreakers } from '#policies/breaker.ts'
import { createProber } from '#registry/prober.ts'
import { createStates } from '#registry/states.ts'
import { target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { healthSettings, settings } from '#tests/support/fleet.ts'
import { axis, bar, type Figure, scale, ticks, WIDTH, words } from './draw.ts'

const STEP_MS = 1000
const END_MS = 180_000
const CALL_EVERY_MS = 2000
/** When the server refuses connections. */
const DOWN_MS = [36_000, 100_000] as const

const LEFT = 92
const RIGHT = WIDTH - 16
const x = scale([0, END_MS], [LEFT, RIGHT])

/** A stretch of time in which something stays as it is. */
interface Stretch {
  readonly from: number
  readonly what: string
  to: number
}

/** Has probes and a circuit breaker watch a server that is gone for a minute. */
export async function drawOutage(): Promise<Figure> {
  const { health, breaker, probes, calls } = await watchOutage()
  const places = (row: readonly Event[], good: boolean) => row.filter(each => each.good === good).map(({ at }) => x(at))
  const events = (label: string, y: number, row: readonly Event[]) => [
    words(8, y + 12, label),
    ticks('good', places(row, true), y, 16),
    ticks('bad', places(row, false), y + 8, 8),
  ]
  const states = (label: string, y: number, row: readonly Stretch[]) => [
    words(8, y + 13, label),
    ...row.flatMap(({ from, to, what }) => [
      bar(COLOURS[what] ?? 'full', [x(from), x(to)], y, 16),
      words(x(from) + 4, y + 12, what === 'half-open' ? 'trial' : what, 'on'),
    ]),
  ]
  const [from, to] = DOWN_MS
  const server = [
    { from: 0, to: from, what: 'answers' },
    { from, to, what: 'gone' },
    { from: to, to: END_MS, what: 'answers' },
  ]
  const seconds = [0, 30, 60, 90, 120, 150, 180]
  return {
    title: 'What the gateway does while a server is gone',
    drawn: [
      ...states('server', 10, server),
      ...events('calls to it', 46, calls),
      ...states('breaker', 82, breaker),
      ...events('probes', 118, probes),
      ...states('health', 154, health),
      ...axis(
        184,
        seconds.map(at => [x(at * 1000), at === 180 ? '180 s' : `${at}`]),
        [LEFT, RIGHT],
      ),
    ],
  }
}

/** What is not as it should be. */
const COLOURS: Readonly<Record<string, string>> = {
  open: 'none',
  'half-open': 'half',
  gone: 'none',
  unhealthy: 'none',
}

interface Event {
  readonly at: number
  readonly good: boolean
}

async function watchOutage() {
  const clock = fakeClock()
  const states = createStates()
  const only = target('gpu-1')
  const state = states.target(only)
  const suspect = (fact: Fact) => fact.type === 'breaker-opened' && prober.suspect(fact.server)
  const journal = createJournal([suspect])
  const isUp = () => clock.now() < DOWN_MS[0] || clock.now() >= DOWN_MS[1]
  const probes: Event[] = []
  const calls: Event[] = []
  const health: Stretch[] = []
  const breaker: Stretch[] = []
  const prober = createProber({
    clock,
    states,
    journal,
    random: () => 0,
    async probe() {
      probes.push({ at: clock.now(), good: isUp() })
      return { ok: isUp(), latencyMs: 10, reason: null }
    },
  })
  const breakers = createBreakers({ states, clock, journal, random: () => 0.5, settings: () => settings.breaker })

  function send(): void {
    const isTrial = breakerOf(state, clock.now()) === 'half-open'
    if (!isAvailable(state, clock.now()) || !breakers.admit(only)) return
    calls.push({ at: clock.now(), good: isUp() })
    if (isUp()) {
      breakers.committed(only)
      breakers.succeeded(only)
    } else breakers.failed(only, 'upstream_error', isTrial)
  }

  prober.watch([only.server], healthSettings)
  prober.start()
  while (clock.now() <= END_MS) {
    await settled()
    if (clock.now() % CALL_EVERY_MS === 0) send()
    stretch(health, state.server.health === 'unhealthy' ? 'unhealthy' : 'healthy', clock.now())
    stretch(breaker, breakerOf(state, clock.now()), clock.now())
    clock.advance(STEP_MS)
  }
  prober.stop()
  return { health, breaker, probes, calls }
}

function stretch(row: Stretch[], what: string, now: number): void {
  const last = row.at(-1)
  if (last !== undefined) last.to = now
  if (last?.what !== what) row.push({ from: now, to: now, what })
}
