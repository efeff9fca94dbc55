import type { Attempt } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { failover } from '#policies/failover.ts'
import { createStates } from '#registry/states.ts'
import { call, liveOf } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { policiesFor } from '#tests/support/policies.ts'
import { planOf } from '#tests/support/retries.ts'
import { axis, bar, type Figure, scale, WIDTH, words } from './draw.ts'

const STEP_MS = 10
const ANSWER_MS = 600
const END_MS = 2000
const LEFT = 12
const RIGHT = WIDTH - 20
const ROW = 46
const x = scale([0, END_MS], [LEFT, RIGHT])

/** A call, and what its servers do: how long they take to fail, one after the other; after that they answer. */
interface Case {
  readonly label: string
  readonly servers: Readonly<Record<string, readonly Failure[]>>
  readonly fallbacks?: readonly string[]
}

interface Failure {
  readonly ms: number
  readonly retryAfterMs?: number
}

const CASES: readonly Case[] = [
  { label: 'another server has the model', servers: { a: [{ ms: 300 }], b: [] } },
  { label: 'no other one has it', servers: { a: [{ ms: 300 }, { ms: 300 }] } },
  { label: 'it asks for a second with 429', servers: { a: [{ ms: 100, retryAfterMs: 1000 }] } },
  {
    label: 'all of them fail, and the model has a fallback',
    servers: { a: [{ ms: 300 }, { ms: 300 }], b: [{ ms: 300 }, { ms: 300 }] },
    fallbacks: ['c'],
  },
]

interface Tried {
  readonly server: string
  readonly from: number
  readonly to: number
  readonly good: boolean
}

/** Has failover make the attempts of some calls. */
export async function drawAttempts(): Promise<Figure> {
  const rows = await Promise.all(CASES.map(attempts))
  const drawn = rows.flatMap((tried, at) => {
    const y = 16 + at * ROW
    return [
      words(LEFT, y, CASES[at]?.label ?? '', 'small'),
      ...tried.flatMap(({ server, from, to, good }) => [
        bar(good ? 'full' : 'none', [x(from), x(to) - 1], y + 6, 16),
        words(x(from) + 4, y + 18, good ? `${server} answers` : to - from < 200 ? server : `${server} fails`, 'on'),
      ]),
    ]
  })
  const halves = [0, 0.5, 1, 1.5, 2]
  const marks = halves.map(at => [x(at * 1000), at === 2 ? '2 s' : `${at}`] as const)
  return { title: 'The attempts of four calls', drawn: [...drawn, ...axis(200, marks, [LEFT, RIGHT])] }
}

async function attempts({ servers, fallbacks = [] }: Case): Promise<readonly Tried[]> {
  const clock = fakeClock()
  const tried: Tried[] = []
  const attempt: Attempt = async ({ slot }) => {
    const server = slot.candidate.target.server.id
    const failure = servers[server]?.[tried.filter(each => each.server === server).length]
    const from = clock.now()
    await pass(clock, failure?.ms ?? ANSWER_MS)
    tried.push({ server, from, to: clock.now(), good: failure === undefined })
    if (failure === undefined) return liveOf([])
    const { retryAfterMs = null } = failure
    throw new GatewayError(retryAfterMs === null ? 'upstream_error' : 'provider_rate_limited', '', { retryAfterMs })
  }
  const states = createStates()
  // The middle of what the waits may be.
  const run = failover({ ...policiesFor(states, clock, { random: () => 0.5 }), isOffered: () => true })(attempt)(
    call({ stream: false }),
    planOf(Object.keys(servers), fallbacks),
    createScope(clock, { within: 60_000 }),
    { begin: () => ({ server: '', model: '', startedAt: 0, ms: 0, result: null, cause: null }) },
  )
  void run.next()
  while (tried.at(-1)?.good !== true && clock.now() < END_MS) {
    await settled(1)
    clock.advance(STEP_MS)
  }
  return tried
}

function pass(clock: Pick<Clock, 'after'>, ms: number): Promise<void> {
  return new Promise(resolve => {
    clock.after(ms, resolve)
  })
}
