import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Candidate, Slot } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import type { Priority } from '#core/priority.ts'
import { createScope, type Scope } from '#core/scope.ts'
import type { Target } from '#core/servers.ts'
import { createQueue } from '#gateway/queue/queue.ts'
import { createStates } from '#registry/states.ts'
import { model, server, target, timeouts } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const LEFT = new GatewayError('client_closed_request', 'The client closed the request.')

function setup() {
  const clock = fakeClock()
  const states = createStates()
  const out = new Set<string>()
  const queue = createQueue({ states, clock, available: ({ id }) => !out.has(id) })

  /** One call that wants a place at one of these. */
  function ask(targets: readonly Target[], who: Partial<Asking> = {}) {
    const only = model(who.model ?? 'm', targets)
    const candidates: Candidate[] = [
      ...targets.map(each => ({ target: each, model: only, reason: '' })),
      ...(who.fallbacks ?? []).map(each => ({ target: each, model: only, reason: '', fallback: true })),
    ]
    const scope = who.scope ?? createScope(clock)
    const waits: number[] = []
    const wait = {
      caller: who.caller ?? 'a',
      priority: who.priority ?? 'normal',
      waitedMs: who.waitedMs ?? 0,
      waited: (ms: number) => waits.push(ms),
    }
    const later = (who.later ?? []).map(each => ({ target: each, model: only, reason: '' }))
    const place = queue.slotsFor(wait).take(candidates, scope, later)
    const end: { slot: Slot | null; error: GatewayError | null; times: number } = { slot: null, error: null, times: 0 }
    const over = Promise.resolve(place).then(
      slot => {
        end.slot = slot
        end.times++
      },
      (error: GatewayError) => {
        end.error = error
        end.times++
      },
    )
    return { place, scope, end, over, waits }
  }

  return { clock, states, out, queue, ask }
}

interface Asking {
  readonly caller: string
  readonly priority: Priority
  readonly waitedMs: number
  readonly fallbacks: readonly Target[]
  readonly scope: Scope
  readonly model: string
  readonly later: readonly Target[]
}

const one = target('a', { maxConcurrent: 1 })

describe('a free place', () => {
  test('is given synchronously, without a promise', () => {
    const { ask } = setup()

    expect(ask([one]).place).not.toBeInstanceOf(Promise)
  })

  test('is taken at the next candidate when the first one is full', async () => {
    const { ask } = setup()
    const full = ask([one]).place

    const place = ask([one, target('b', { maxConcurrent: 1 })]).place as Slot

    expect((full as Slot).candidate.target.server.id).toBe('a')
    expect(place.candidate.target.server.id).toBe('b')
  })

  test('at a server counts for all its models', () => {
    const { ask } = setup()
    const home = server('a', { maxConcurrent: 1 })
    ask([target('a', { id: 'a/x', server: home })])

    expect(ask([target('a', { id: 'a/y', server: home })]).place).toBeInstanceOf(Promise)
  })

  test('says when its server was last asked, also where nothing is bounded', () => {
    const { ask, clock, states } = setup()
    const asked = [target('a'), target('b', { maxConcurrent: 1 })].map(each => {
      clock.advance(500)
      ask([each])
      return states.server(each.server.id).usedAt
    })

    expect(asked).toEqual([500, 1000])
  })
})

describe('a call that finds no place', () => {
  test('gets the first place that comes free at any of its candidates, and reports how long it waited', async () => {
    const { ask, clock, queue } = setup()
    clock.advance(1000)
    const second = target('b', { maxConcurrent: 1 })
    ask([one])
    const busy = ask([second]).place as Slot
    const waiting = ask([one, second])
    expect(queue.depth()).toBe(1)

    clock.advance(40)
    busy.release()
    await waiting.over

    expect(waiting.end.slot?.candidate.target.server.id).toBe('b')
    expect([queue.depth(), waiting.waits, clock.pending]).toEqual([0, [40], 0])
  })

  test('a place that comes free goes to one waiter only', async () => {
    const { ask, states } = setup()
    const busy = ask([one]).place as Slot
    const waiting = [ask([one]), ask([one]), ask([one])]

    busy.release()
    await settled()

    expect(waiting.map(({ end }) => end.times)).toEqual([1, 0, 0])
    expect(states.target(one).inFlight).toBe(1)
  })

  test('ends with queue_timeout when none comes free in time', async () => {
    const { ask, clock } = setup()
    ask([one])
    const waiting = ask([one])

    clock.advance(timeouts.queue)
    await waiting.over

    expect(waiting.end.error).toMatchObject({ code: 'queue_timeout', status: 429, retryAfterMs: 1000 })
    expect(waiting.waits).toEqual([1000])
  })

  test('is refused at once when timeouts.queue is 0', async () => {
    const { ask } = setup()
    const hasty = target('a', { maxConcurrent: 1, timeouts: { ...timeouts, queue: 0 } })
    ask([hasty])
    const waiting = ask([hasty])
    await waiting.over

    expect(waiting.end.error?.code).toBe('queue_full')
  })

  test('is refused at once, too, when only a target that is out has a longer timeout', async () => {
    const { ask, out } = setup()
    const hasty = target('a', { maxConcurrent: 1, timeouts: { ...timeouts, queue: 0 } })
    const other = target('b')
    out.add(other.id)
    ask([hasty])
    const waiting = ask([hasty], { later: [other] })
    await settled()

    expect(waiting.end.error?.code).toBe('queue_full')
  })

  test('is removed when its client disconnects, and the place goes to the next call', async () => {
    const { ask, queue } = setup()
    const busy = ask([one]).place as Slot
    const [gone, next] = [ask([one]), ask([one])]

    gone.scope.cancel(LEFT)
    expect(queue.depth()).toBe(1)
    busy.release()
    await Promise.all([gone.over, next.over])

    expect([gone.end.error, next.end.slot?.candidate.target]).toEqual([LEFT, one])
  })

  test('gives the place back when its client disconnects just as it is served', async () => {
    const { ask, states } = setup()
    const busy = ask([one]).place as Slot
    const [gone, next] = [ask([one]), ask([one])]

    busy.release()
    gone.scope.cancel(LEFT)
    await Promise.all([gone.over, next.over])

    expect([gone.end.error, next.end.slot?.candidate.target]).toEqual([LEFT, one])
    expect(states.target(one).inFlight).toBe(1)
    expect([gone.waits, next.waits]).toEqual([[0], [0]])
  })

  test('is rejected after its deadline even if the timer is late', async () => {
    const { ask, clock } = setup()
    const busy = ask([one]).place as Slot
    const late: Scope = {
      ...createScope(clock),
      signal: new AbortController().signal,
      endsAt: 5,
      ended: null,
      onEnd: () => () => {},
    }
    const [dropped, next] = [ask([one], { scope: late }), ask([one])]

    clock.advance(5)
    busy.release()
    await Promise.all([dropped.over, next.over])

    expect(dropped.end.error?.code).toBe('deadline_exceeded')
    expect(next.end.slot).not.toBeNull()
  })

  test('is not sent to a target that has gone down meanwhile, and goes there once it is back', async () => {
    const { ask, clock, out } = setup()
    const busy = ask([one]).place as Slot
    const waiting = ask([one])
    out.add(one.id)
    busy.release()
    await settled()
    expect(waiting.end.times).toBe(0)

    out.delete(one.id)
    clock.advance(250)
    await waiting.over

    expect(waiting.end.slot?.candidate.target).toBe(one)
  })

  test('is let in alone at a target that is back, so that a trial is one call', async () => {
    const { ask, clock, out, states } = setup()
    const roomy = target('a', { maxConcurrent: 2 })
    const busy = [ask([roomy]), ask([roomy])].map(({ place }) => place as Slot)
    const waiting = [ask([roomy]), ask([roomy])]
    out.add(roomy.id)
    for (const slot of busy) slot.release()

    out.delete(roomy.id)
    states.target(roomy).breaker.openUntil = 1
    clock.advance(250)
    await settled()
    expect(waiting.map(({ end }) => end.times)).toEqual([1, 0])

    clock.advance(10)
    await settled()
    expect(waiting.map(({ end }) => end.times)).toEqual([1, 1])
  })

  test('does not wait for another one when a target that is back has places for both', async () => {
    const { ask, clock, out } = setup()
    const roomy = target('a', { maxConcurrent: 20 })
    const busy = Array.from({ length: 20 }, () => ask([roomy]).place as Slot)
    const waiting = Array.from({ length: 21 }, () => ask([roomy]))
    out.add(roomy.id)
    for (const slot of busy) slot.release()

    out.delete(roomy.id)
    clock.advance(250)
    await settled()

    expect(waiting.map(({ end }) => end.times)).toEqual([...busy.map(() => 1), 0])
  })

  test('is served before later calls when a target becomes available again', async () => {
    const { ask, clock, out } = setup()
    const busy = ask([one]).place as Slot
    const waiting = ask([one])
    out.add(one.id)
    busy.release()
    out.delete(one.id)

    const later = ask([one])
    clock.advance(250)
    await settled()

    expect([waiting.end.times, later.end.times]).toEqual([1, 0])
  })

  test('takes an available candidate, not a free place at an unavailable one', async () => {
    const { ask, out } = setup()
    const second = target('b', { maxConcurrent: 1 })
    const [busy, other] = [ask([one]).place as Slot, ask([second]).place as Slot]
    const waiting = ask([one, second])

    out.add(one.id)
    busy.release()
    other.release()
    await waiting.over

    expect(waiting.end.slot?.candidate.target.id).toBe(second.id)
  })

  test('is checked until it is served, even after another call left the queue', async () => {
    const { ask, clock, out } = setup()
    const busy = ask([one]).place as Slot
    const alone = ask([one])
    alone.scope.cancel(LEFT)
    await alone.over
    const [waiting, gone] = [ask([one]), ask([one])]
    gone.scope.cancel(LEFT)
    await gone.over
    out.add(one.id)
    busy.release()

    out.delete(one.id)
    clock.advance(250)
    await settled()

    expect(waiting.end.times).toBe(1)
  })

  test('gets a place at a target that was out when it came, once that is back, and before calls that come then', async () => {
    const { ask, clock, out } = setup()
    const other = target('b', { maxConcurrent: 1 })
    ask([one])
    out.add(other.id)
    const waiting = ask([one], { later: [other] })
    clock.advance(500)
    await settled()
    expect(waiting.end.times).toBe(0)

    out.delete(other.id)
    const next = ask([other])
    clock.advance(250)
    await settled()

    expect([waiting.end.slot?.candidate.target.id, next.end.times]).toEqual([other.id, 0])
  })

  test('prefers a target that is back to a fallback that has a place in the same moment', async () => {
    const { ask, clock, out, states } = setup()
    const [back, fallback] = ['b', 'c'].map(id => target(id, { maxConcurrent: 1 }))
    if (back === undefined || fallback === undefined) return
    ask([one])
    states.target(fallback).inFlight++
    out.add(back.id)
    const waiting = ask([one], { later: [back], fallbacks: [fallback] })

    states.target(fallback).inFlight--
    out.delete(back.id)
    clock.advance(250)
    await waiting.over

    expect(waiting.end.slot?.candidate.target.id).toBe(back.id)
  })

  test('waits no longer than what is left of its time from an earlier wait', async () => {
    const { ask, clock } = setup()
    const bounded = target('a', { maxConcurrent: 1, timeouts: { ...timeouts, queue: 1000 } })
    ask([bounded])
    const again = ask([bounded], { waitedMs: 700 })
    const spent = ask([bounded], { waitedMs: 1000 })
    clock.advance(300)
    await Promise.all([again.over, spent.over])

    expect([again, spent].map(({ end }) => end.error?.code)).toEqual(['queue_timeout', 'queue_timeout'])
  })

  test('waits also where nothing else is left than a target that is out', async () => {
    const { ask, clock, out } = setup()
    out.add(one.id)
    const waiting = ask([], { later: [one] })
    out.delete(one.id)
    clock.advance(250)
    await waiting.over

    expect(waiting.end.slot?.candidate.target.id).toBe(one.id)
  })

  test('does not delay calls for other targets', async () => {
    const { ask, out } = setup()
    const busy = ask([one]).place as Slot
    ask([one])
    out.add(one.id)
    busy.release()
    out.delete(one.id)

    expect(ask([target('b', { maxConcurrent: 1 })]).place).not.toBeInstanceOf(Promise)
  })

  test('is not looked at for calls of other targets, neither when they come nor when they end', () => {
    const [clock, states] = [fakeClock(), createStates()]
    let looks = 0
    const available = () => {
      looks++
      return false
    }
    const slots = createQueue({ states, clock, available }).slotsFor({ caller: 'a', priority: 'normal', waited() {} })
    const candidateAt = (at: Target): Candidate => ({ target: at, model: model('m', []), reason: '' })
    const scope = createScope(clock)
    void slots.take([candidateAt(one)], scope)
    void slots.take([candidateAt(one)], scope, [candidateAt(target('b'))])
    looks = 0

    const place = slots.take([candidateAt(target('c'))], scope) as Slot
    place.release()

    expect(looks).toBe(0)
  })

  test('may use a target that was unavailable when the wait began', async () => {
    const { ask, out } = setup()
    out.add(one.id)
    const busy = ask([one]).place as Slot
    const waiting = ask([one])

    busy.release()
    await waiting.over

    expect(waiting.end.slot?.candidate.target.id).toBe(one.id)
  })
})

describe('a full line', () => {
  test('refuses new calls with the estimated wait', async () => {
    const { ask, clock } = setup()
    const first = ask([one]).place as Slot
    clock.advance(200)
    first.release()
    ask([one])
    for (let index = 0; index < 100; index++) ask([one])

    const refused = ask([one])
    await refused.over

    expect(refused.end.error).toMatchObject({ code: 'queue_full', status: 429, retryAfterMs: 101 * 200 })
  })

  test('holds four calls for each place', async () => {
    const { ask, queue } = setup()
    const roomy = target('a', { maxConcurrent: 30 })
    for (let index = 0; index < 30 + 4 * 30; index++) ask([roomy])

    const refused = ask([roomy])
    await refused.over

    expect([refused.end.error?.code, queue.depth()]).toEqual(['queue_full', 120])
  })

  test('holds no more because a target without bounds is out', async () => {
    const { ask, out } = setup()
    const boundless = target('b')
    out.add(boundless.id)
    ask([one])
    for (let index = 0; index < 100; index++) ask([one], { later: [boundless] })

    const refused = ask([one], { later: [boundless] })
    await refused.over

    expect(refused.end.error?.code).toBe('queue_full')
  })

  test('evicts a call for a caller with fewer waiting calls, or for a higher priority', async () => {
    const { ask, queue } = setup()
    ask([one])
    const crowd = Array.from({ length: 100 }, () => ask([one], { caller: 'crowd' }))

    const other = ask([one], { caller: 'other' })
    const urgent = ask([one], { caller: 'crowd', priority: 'high' })
    await settled()

    expect(crowd.filter(({ end }) => end.error?.code === 'queue_full')).toHaveLength(2)
    expect([other.end.times, urgent.end.times, queue.depth()]).toEqual([0, 0, 100])
  })

  test('of one model does not refuse another one', async () => {
    const { ask } = setup()
    ask([one])
    for (let index = 0; index < 100; index++) ask([one])

    const other = ask([one], { model: 'other' })
    await settled()

    expect(other.end.times).toBe(0)
  })
})

type Step =
  | { readonly do: 'ask'; readonly targets: readonly number[]; readonly caller: string; readonly priority: Priority }
  | { readonly do: 'release' | 'leave'; readonly which: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'toggle'; readonly target: number }

const FLEET = [
  target('a', { id: 'a/1', maxConcurrent: 1 }),
  target('b', { id: 'b/1', maxConcurrent: 2, server: server('b', { maxConcurrent: 3 }) }),
  target('b', { id: 'b/2', maxConcurrent: 2, server: server('b', { maxConcurrent: 3 }) }),
]

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('ask' as const),
        targets: fc.uniqueArray(fc.nat(FLEET.length - 1), { minLength: 1 }),
        caller: fc.constantFrom('x', 'y', 'z'),
        priority: fc.constantFrom<Priority>('low', 'normal', 'high', 'critical'),
      }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('release' as const, 'leave' as const), which: fc.nat() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(400) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('toggle' as const), target: fc.nat(FLEET.length - 1) }) },
  ),
  { maxLength: 60, size: 'max' },
)

describe('whatever happens in whatever order', () => {
  test('no target has too many calls, no free place is kept from a waiter, everybody ends once, all is free at the end', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async plan => {
        const { ask, clock, out, queue, states } = setup()
        const asked: (ReturnType<typeof ask> & { readonly targets: readonly Target[] })[] = []

        for (const step of plan) {
          if (step.do === 'ask') {
            const targets = step.targets.flatMap(index => FLEET[index] ?? [])
            asked.push({ ...ask(targets, step), targets })
          } else if (step.do === 'wait') clock.advance(step.ms)
          else if (step.do === 'toggle') {
            const { id = '' } = FLEET[step.target] ?? {}
            if (!out.delete(id)) out.add(id)
            clock.advance(500)
          } else {
            const chosen = asked[step.which % Math.max(1, asked.length)]
            if (step.do === 'release') chosen?.end.slot?.release()
            else if (chosen?.end.slot === null) chosen.scope.cancel(LEFT)
          }
          await settled(1)
          for (const each of FLEET) {
            expect(states.target(each).inFlight).toBeLessThanOrEqual(each.maxConcurrent)
            if (each.server.maxConcurrent > 0) {
              expect(states.server(each.server.id).inFlight).toBeLessThanOrEqual(each.server.maxConcurrent)
            }
          }
          for (const { end, targets } of asked) {
            if (end.times > 0) continue
            const free = targets.filter(
              each =>
                !out.has(each.id) &&
                states.target(each).inFlight < each.maxConcurrent &&
                states.server(each.server.id).inFlight < (each.server.maxConcurrent || Infinity),
            )
            expect(free).toEqual([])
          }
        }
        while (queue.depth() > 0 || asked.some(({ end }) => end.times === 0)) {
          clock.advance(500)
          await settled(1)
        }
        for (const { end } of asked) end.slot?.release()
        await settled(1)

        expect(asked.map(({ end }) => end.times)).toEqual(asked.map(() => 1))
        expect(FLEET.map(each => states.target(each).inFlight)).toEqual(FLEET.map(() => 0))
        expect([states.server('a').inFlight, states.server('b').inFlight, clock.pending]).toEqual([0, 0, 0])
      }),
      { numRuns: 150 },
    )
  })
})
