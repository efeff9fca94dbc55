import { describe, expect, test } from 'bun:test'
import type { Attempt, AttemptEntry, Candidate, Live } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { type Code, GatewayError } from '#core/errors.ts'
import { createJournal } from '#core/journal.ts'
import { createScope } from '#core/scope.ts'
import type { HedgingSettings, Target } from '#core/servers.ts'
import type { FailoverDeps } from '#policies/deps.ts'
import { failover } from '#policies/failover.ts'
import { createHedges } from '#policies/hedge.ts'
import { createStates } from '#registry/states.ts'
import { call, liveOf, model, server, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { policiesFor } from '#tests/support/policies.ts'
import { seeded } from '#tests/support/random.ts'

/** What a server does: after so long it answers, or fails with a code. `stubborn` ones do not notice being stopped. */
interface Act {
  readonly ms: number
  readonly code?: Code
  readonly stubborn?: boolean
}

const hedgedAfter = (ms: number, maxPercent = 100): HedgingSettings => ({ after: { ms }, maxPercent })
const p95: HedgingSettings = { after: { percentile: 95 }, maxPercent: 100 }

interface Options extends NonNullable<Parameters<typeof policiesFor>[2]> {
  readonly hedging?: HedgingSettings | null
  /** What is special about a candidate. */
  readonly candidates?: Readonly<Record<string, Partial<Candidate>>>
  readonly targets?: Readonly<Record<string, Partial<Target>>>
  /** Whether a strategy learns from the attempts. */
  readonly observed?: boolean
}

/** A fleet whose servers act as told, and the calls made of it. */
function fleetOf(acts: Readonly<Record<string, Act | (() => Act)>>, options: Options = {}) {
  const clock = fakeClock()
  const states = createStates()
  const hedges: boolean[] = []
  const lives: ReturnType<typeof liveOf>[] = []
  const journal = createJournal([
    fact => {
      if (fact.type === 'hedged') hedges.push(fact.won)
    },
  ])
  const deps: FailoverDeps = { ...policiesFor(states, clock, { ...options, journal }), hedges: createHedges(states) }
  const only = model('m', [], { hedging: options.hedging ?? null })
  const candidates = Object.keys(acts).map((id): Candidate => {
    const own = target(id, options.targets?.[id])
    return { target: own, model: only, reason: '', ...options.candidates?.[id] }
  })

  const attempt: Attempt = ({ slot, scope }) => {
    const { promise, resolve, reject } = Promise.withResolvers<Live>()
    const given = acts[slot.candidate.target.server.id]
    const act = typeof given === 'function' ? given() : (given ?? { ms: 0 })
    const live = liveOf([])
    lives.push(live)
    const close = () => {
      live.close()
      slot.release()
    }
    const disarm = clock.after(act.ms, () => {
      if (act.code !== undefined) reject(new GatewayError(act.code, act.code))
      else resolve({ ...live, target: slot.candidate.target, close })
    })
    if (act.stubborn !== true) {
      scope.onEnd(cause => {
        disarm()
        reject(cause)
      })
    }
    return promise
  }

  function start(more: Partial<Call> = {}) {
    const entries: AttemptEntry[] = []
    const scope = createScope(clock)
    const trail = {
      begin(candidate: Candidate): AttemptEntry {
        const server = candidate.target.server.id
        const entry = { server, model: 'm', startedAt: clock.now(), ms: 0, result: null, cause: null }
        entries.push(entry)
        return entry
      },
    }
    const asked = call({ stream: false, ...more })
    const plan = { model: only, strategy: 'explicit', candidates, observed: options.observed }
    const run = failover(deps)(attempt)(asked, plan, scope, trail)
    const answer = run.next().then(
      live => live.target.server.id,
      (error: GatewayError) => error,
    )
    return {
      run,
      scope,
      entries,
      answer,
      tried: () => entries.map(({ server, startedAt, result, ms }) => `${server} ${startedAt}+${ms} ${result}`),
    }
  }

  /** Makes a call and lets time pass in small steps until it is answered. */
  async function over(more: Partial<Call> = {}) {
    const started = start(more)
    let done = false
    const result = started.answer.finally(() => {
      done = true
    })
    while (!done) {
      await settled(1)
      if (!done) clock.advance(10)
    }
    return { ...started, result: await result, tried: started.tried() }
  }

  const inFlight = () => candidates.reduce((sum, each) => sum + states.target(each.target).inFlight, 0)
  const stateOf = (id: string) => states.target(target(id))
  return { clock, deps, states, hedges, lives, start, over, inFlight, stateOf }
}

describe('a call that is not hedged', () => {
  test('sets no timer, and asks one server', async () => {
    const fleet = fleetOf({ a: { ms: 900 }, b: { ms: 10 } })
    const { answer, tried } = fleet.start()
    await settled()

    // The server's own.
    expect(fleet.clock.pending).toBe(1)
    fleet.clock.advance(900)
    expect([await answer, tried(), fleet.hedges]).toEqual(['a', ['a 0+900 ok'], []])
  })
})

describe('a slow first attempt', () => {
  test('gets a second one beside it, whose answer counts when it is quicker', async () => {
    const fleet = fleetOf({ a: { ms: 900 }, b: { ms: 50 } }, { hedging: hedgedAfter(200) })
    const { result, tried } = await fleet.over()

    expect(result).toBe('b')
    expect(tried).toEqual(['a 0+250 lost', 'b 200+50 ok'])
    expect([fleet.hedges, fleet.inFlight(), fleet.clock.pending]).toEqual([[true], 1, 0])
  })

  test('still counts when it is quicker after all', async () => {
    const fleet = fleetOf({ a: { ms: 220 }, b: { ms: 50 } }, { hedging: hedgedAfter(200) })
    const { result, tried } = await fleet.over()

    expect([result, tried]).toEqual(['a', ['a 0+220 ok', 'b 200+20 lost']])
    expect([fleet.hedges, fleet.inFlight(), fleet.clock.pending]).toEqual([[false], 1, 0])
  })

  test('is left alone when it is quick enough', async () => {
    const fleet = fleetOf({ a: { ms: 150 }, b: { ms: 50 } }, { hedging: hedgedAfter(200) })
    const { result, tried } = await fleet.over()

    expect([result, tried, fleet.hedges, fleet.clock.pending]).toEqual(['a', ['a 0+150 ok'], [], 0])
  })

  test('and a second one at once, when there is nothing to wait for', async () => {
    const fleet = fleetOf({ a: { ms: 90 }, b: { ms: 50 }, c: { ms: 10 } }, { hedging: hedgedAfter(0) })
    const { result, tried } = await fleet.over()

    expect([result, tried]).toEqual(['b', ['a 0+50 lost', 'b 0+50 ok']])
  })

  test('that fails before its time is followed, not accompanied', async () => {
    const acts = { a: { ms: 100, code: 'upstream_error' }, b: { ms: 500 } } as const
    const fleet = fleetOf(acts, { hedging: hedgedAfter(200) })
    const { result, tried } = await fleet.over()

    expect([result, tried]).toEqual(['b', ['a 0+100 upstream_error', 'b 100+500 ok']])
    expect(fleet.hedges).toEqual([])
  })

  test('counts against no breaker when it is stopped, nor for it', async () => {
    const fleet = fleetOf({ a: { ms: 900 }, b: { ms: 50 } }, { hedging: hedgedAfter(200) })
    fleet.stateOf('a').breaker.failures = 4
    fleet.stateOf('b').breaker.failures = 4
    await fleet.over()

    expect([fleet.stateOf('a').breaker.failures, fleet.stateOf('b').breaker.failures]).toEqual([4, 0])
  })

  test('took at least so long when it is stopped, and its model is loaded no more for all that is known', async () => {
    const fleet = fleetOf({ a: { ms: 900 }, b: { ms: 50 } }, { hedging: hedgedAfter(200), observed: true })
    const { server, ewma } = fleet.stateOf('a')
    server.loaded = new Set()
    await fleet.over()

    expect([server.loading, ewma.plain.ms]).toEqual([null, 250])
  })

  test('leaves the trial of a half-open breaker to the next call when it is stopped', async () => {
    const fleet = fleetOf({ a: { ms: 900 }, b: { ms: 50 } }, { hedging: hedgedAfter(200) })
    Object.assign(fleet.stateOf('a').breaker, { openUntil: 1, openings: 1 })
    fleet.clock.advance(10)
    await fleet.over()

    expect(fleet.stateOf('a').breaker).toMatchObject({ trial: false, openUntil: 1, openings: 1 })
  })

  test('is not made at all where another call has taken the one trial: the call goes on elsewhere', async () => {
    const fleet = fleetOf({ a: { ms: 10 }, b: { ms: 50 } }, { hedging: hedgedAfter(200) })
    Object.assign(fleet.stateOf('a').breaker, { openUntil: -1, trial: true })
    const { result, tried } = await fleet.over()

    expect([result, tried, fleet.inFlight()]).toEqual(['b', ['b 0+50 ok'], 1])
  })

  test('has no second one beside it while the budget for retries is used up', async () => {
    const retry = { budgetMin: 1, budgetPercent: 0 }
    const fleet = fleetOf({ a: { ms: 900 }, b: { ms: 50 } }, { hedging: hedgedAfter(200), retry })
    const [one, two] = [fleet.start(), fleet.start()]
    await settled()
    fleet.clock.advance(200)
    await settled()
    expect([one.entries.length, two.entries.length, fleet.deps.budget.remaining()]).toEqual([2, 1, 0])

    fleet.clock.advance(50)
    expect([await one.answer, fleet.deps.budget.remaining()]).toEqual(['b', 1])
    fleet.clock.advance(650)
    expect([await two.answer, two.tried()]).toEqual(['a', ['a 0+900 ok']])

    expect((await fleet.over()).result).toBe('b')
  })

  test('takes nothing of the budget where there is nobody to be asked beside it', async () => {
    const fleet = fleetOf({ a: { ms: 900 } }, { hedging: hedgedAfter(200) })
    const { answer } = fleet.start()
    await settled()
    fleet.clock.advance(300)

    expect(fleet.deps.budget.remaining()).toBe(3)
    fleet.clock.advance(600)
    expect(await answer).toBe('a')
  })

  test('that comes too late is closed', async () => {
    const fleet = fleetOf({ a: { ms: 900, stubborn: true }, b: { ms: 50 } }, { hedging: hedgedAfter(200) })
    const { result, entries } = await fleet.over()
    fleet.clock.advance(900)
    await settled()

    expect(result).toBe('b')
    expect(fleet.lives.map(live => live.closed())).toEqual([1, 0])
    expect([entries[0]?.result, fleet.inFlight()]).toEqual(['lost', 1])
  })
})

describe('of two attempts', () => {
  test('one may fail while the other goes on', async () => {
    for (const [first, second] of [
      [{ ms: 300, code: 'upstream_error' }, { ms: 400 }],
      [{ ms: 500 }, { ms: 10, code: 'upstream_error' }],
    ] as const) {
      const fleet = fleetOf({ a: first, b: second }, { hedging: hedgedAfter(200) })
      const { result, tried } = await fleet.over()

      expect(result).toBe('code' in first ? 'b' : 'a')
      expect(tried).toHaveLength(2)
      expect(tried.toString()).toContain('upstream_error')
      expect([fleet.inFlight(), fleet.clock.pending]).toEqual([1, 0])
    }
  })

  test('both may fail: then it goes on as ever, with both counted', async () => {
    const broken = { ms: 300, code: 'upstream_error' } as const
    const acts = { a: broken, b: broken, c: { ms: 10 } }
    const well = await fleetOf(acts, { hedging: hedgedAfter(200) }).over()
    const spent = fleetOf(acts, { hedging: hedgedAfter(200), maxAttempts: 2 })
    const { result, tried } = await spent.over()

    expect([well.result, well.tried.at(-1)]).toEqual(['c', 'c 500+10 ok'])
    expect(tried).toEqual(['a 0+300 upstream_error', 'b 200+300 upstream_error'])
    expect(result).toMatchObject({ code: 'all_targets_failed', attempts: [{ server: 'a' }, { server: 'b' }] })
    expect([spent.hedges, spent.inFlight(), spent.clock.pending]).toEqual([[false], 0, 0])
  })

  test('the answer that is the caller’s to mend ends both', async () => {
    const acts = { a: { ms: 900 }, b: { ms: 50, code: 'invalid_request' } } as const
    const fleet = fleetOf(acts, { hedging: hedgedAfter(200) })
    const { result, tried } = await fleet.over()

    expect(result).toMatchObject({ code: 'invalid_request' })
    expect(tried).toEqual(['a 0+250 lost', 'b 200+50 invalid_request'])
    expect([fleet.inFlight(), fleet.clock.pending]).toEqual([0, 0])
  })

  test('one whose key was refused is not asked again with another when a filter has refused the prompt', async () => {
    const { result, tried } = await fleetOf(
      {
        a: { ms: 250, code: 'upstream_auth_failed' },
        b: { ms: 100, code: 'content_policy_violation' },
        c: { ms: 10 },
      },
      {
        hedging: hedgedAfter(200),
        retry: { afterFilter: true },
        targets: { a: { server: server('a', { secrets: ['one', 'two'] }) } },
        candidates: { c: { fallback: true, model: model('other', []) } },
      },
    ).over()

    expect([result, tried]).toEqual([
      'c',
      ['a 0+250 upstream_auth_failed', 'b 200+100 content_policy_violation', 'c 300+10 ok'],
    ])
  })

  test('both may lose a key: then each is asked with its next one', async () => {
    const secrets = ['one', 'two']
    const { result, tried } = await fleetOf(
      { a: { ms: 250, code: 'upstream_auth_failed' }, b: { ms: 100, code: 'upstream_auth_failed' } },
      {
        hedging: hedgedAfter(200),
        targets: { a: { server: server('a', { secrets }) }, b: { server: server('b', { secrets }) } },
      },
    ).over()

    expect(result).toMatchObject({ code: 'upstream_auth_failed' })
    expect(tried.map(each => each[0]).sort()).toEqual(['a', 'a', 'b', 'b'])
  })

  test('both are cancelled when the call is cancelled', async () => {
    const fleet = fleetOf({ a: { ms: 900 }, b: { ms: 900 } }, { hedging: hedgedAfter(200) })
    const { answer, scope, entries } = fleet.start()
    fleet.clock.advance(250)
    await settled()
    expect([entries.length, fleet.inFlight()]).toEqual([2, 2])

    scope.cancel(new GatewayError('client_closed_request', 'gone'))

    expect(await answer).toMatchObject({ code: 'client_closed_request' })
    expect(entries.map(({ result }) => result)).toEqual(['client_closed_request', 'client_closed_request'])
    expect([fleet.hedges, fleet.inFlight(), fleet.clock.pending]).toEqual([[false], 0, 0])
  })

  test('the one that lost is there when the answer breaks off', async () => {
    const fleet = fleetOf({ a: { ms: 300 }, b: { ms: 50 } }, { hedging: hedgedAfter(200) })
    const { run, result } = await fleet.over()
    const next = run.next()
    await settled()
    fleet.clock.advance(300)

    expect([result, (await next).target.server.id]).toEqual(['b', 'a'])
  })
})

describe('no second attempt is made', () => {
  const slow = { ms: 500 }
  const quick = { ms: 10 }
  const never = async (fleet: ReturnType<typeof fleetOf>, more: Partial<Call> = {}) => {
    const { result, tried } = await fleet.over(more)
    expect([result, tried, fleet.hedges]).toEqual(['a', ['a 0+500 ok'], []])
    expect([fleet.inFlight(), fleet.clock.pending]).toEqual([1, 0])
  }
  const hedging = hedgedAfter(100)

  test('for a call whose answer the server stores', () =>
    never(fleetOf({ a: slow, b: quick }, { hedging }), { body: { store: true } }))

  test('beyond the attempts that are allowed', () => never(fleetOf({ a: slow, b: quick }, { hedging, maxAttempts: 1 })))

  test('of a stream with the attempt that is kept back for going on', async () => {
    const keeping = { hedging, retry: { keepOne: true } }
    await never(fleetOf({ a: slow, b: quick }, { ...keeping, maxAttempts: 2 }), { stream: true })

    const { result } = await fleetOf({ a: slow, b: quick }, { ...keeping, maxAttempts: 3 }).over({ stream: true })
    expect(result).toBe('b')
  })

  test('at a target of a fallback model', () =>
    never(fleetOf({ a: slow, b: quick }, { hedging, candidates: { b: { fallback: true } } })))

  test('at a target that seems to be down', async () => {
    await never(fleetOf({ a: slow, b: quick }, { hedging, candidates: { b: { doubted: true } } }))
    const halfOpen = fleetOf({ a: slow, b: quick }, { hedging })
    halfOpen.stateOf('b').breaker.openUntil = 1
    await never(halfOpen)
    expect(halfOpen.stateOf('b').breaker.trial).toBe(false)
    const cooling = fleetOf({ a: slow, b: quick }, { hedging })
    cooling.stateOf('b').coolUntil = 1000
    await never(cooling)
  })

  test('at another target of the same server', () =>
    never(fleetOf({ a: slow, b: quick }, { hedging, targets: { b: { id: 'a/other', server: target('a').server } } })))

  test('where no place is free at once, and that costs nothing of the share', async () => {
    const fleet = fleetOf(
      { a: slow, b: quick },
      { hedging: hedgedAfter(100, 50), targets: { b: { maxConcurrent: 1 } } },
    )
    fleet.stateOf('b').inFlight = 1
    const { result } = await fleet.over()
    fleet.stateOf('b').inFlight = 0
    const next = await fleet.over()

    expect([result, next.result, fleet.hedges]).toEqual(['a', 'b', [true]])
  })
})

describe('the share of calls that are sent twice', () => {
  test('is never exceeded, whichever number of calls has been made', async () => {
    const fleet = fleetOf({ a: { ms: 20 }, b: { ms: 20 } }, { hedging: hedgedAfter(0, 5) })
    for (let calls = 1; calls <= 100; calls++) {
      await fleet.over()
      expect(fleet.hedges.length).toBe(Math.floor(calls * 0.05))
    }
  })

  test('is counted over the last thousand calls', () => {
    const hedges = createHedges(createStates())
    const own = model('m', [], { hedging: hedgedAfter(0, 1) })
    const made: boolean[] = []
    const pass = (calls: number, hedge: boolean) => {
      for (let n = 0; n < calls; n++) {
        hedges.delay(call(), own, target('a'))
        const now = hedge && hedges.hasRoom(own)
        if (now) hedges.count(own)
        made.push(now)
      }
    }
    pass(2000, false)
    pass(3000, true)

    for (let at = 0; at + 1000 <= made.length; at++) {
      expect(made.slice(at, at + 1000).filter(Boolean).length).toBeLessThanOrEqual(10)
    }
    expect(made.filter(Boolean)).toHaveLength(30)
  })

  test('comes back whole, although many calls that waited were sent twice at one moment', () => {
    const hedges = createHedges(createStates())
    const own = model('m', [], { hedging: hedgedAfter(0, 1) })
    const thousandCalls = () => {
      for (let n = 0; n < 1000; n++) hedges.delay(call(), own, target('a'))
    }
    const hedgeAll = () => {
      let made = 0
      for (; hedges.hasRoom(own); made++) hedges.count(own)
      return made
    }
    thousandCalls()
    const before = hedgeAll()
    thousandCalls()

    expect([before, hedgeAll()]).toEqual([10, 10])
  })

  test('is counted for each model by itself', () => {
    const hedges = createHedges(createStates())
    const [one, other] = ['one', 'other'].map(name => model(name, [], { hedging: hedgedAfter(0, 10) }))
    if (one === undefined || other === undefined) throw new Error('no model')
    for (let n = 0; n < 10; n++) hedges.delay(call(), one, target('a'))

    expect([hedges.hasRoom(one), hedges.hasRoom(other)]).toEqual([true, false])
  })
})

describe('the usual time', () => {
  test('is not guessed: nothing is sent twice before twenty answers', async () => {
    let calls = 0
    const fleet = fleetOf({ a: () => ({ ms: ++calls < 20 ? 100 : 5000 }), b: { ms: 10 } }, { hedging: p95 })
    for (let n = 0; n < 20; n++) await fleet.over()
    expect(fleet.hedges).toEqual([])

    const { tried } = await fleet.over()

    expect(tried).toEqual(['a 6900+110 lost', 'b 7000+10 ok'])
  })

  test('is the 95th percentile of what the target has taken', async () => {
    const fleet = fleetOf({ a: { ms: 5000 }, b: { ms: 10 } }, { hedging: p95 })
    for (let n = 1; n <= 100; n++) fleet.deps.hedges.observe(target('a'), false, n * 10)

    expect((await fleet.over()).tried).toEqual(['a 0+960 lost', 'b 950+10 ok'])
  })

  test('counts what was stopped as that long at least, so that it does not shrink', async () => {
    const fleet = fleetOf({ a: { ms: 5000 }, b: { ms: 10 } }, { hedging: p95 })
    for (let n = 0; n < 20; n++) fleet.deps.hedges.observe(target('a'), false, 100)
    const [first, second, third] = [await fleet.over(), await fleet.over(), await fleet.over()]

    expect(first.tried[0]).toEndWith('+110 lost')
    expect(second.tried[0]).toEndWith('+110 lost')
    expect(third.tried[0]).toEndWith('+120 lost')
  })

  test('of streams is not that of whole answers', () => {
    const hedges = createHedges(createStates())
    const own = model('m', [], { hedging: p95 })
    for (let n = 0; n < 20; n++) hedges.observe(target('a'), true, 50)

    expect(hedges.delay(call({ stream: true }), own, target('a'))).toBe(50)
    expect(hedges.delay(call({ stream: false }), own, target('a'))).toBeNull()
    expect(hedges.delay(call({ stream: true }), own, target('b'))).toBeNull()
  })

  test('is forgotten with its server', () => {
    const states = createStates()
    const hedges = createHedges(states)
    const own = model('m', [], { hedging: p95 })
    for (let n = 0; n < 20; n++) hedges.observe(target('a'), false, 50)
    const before = hedges.delay(call({ stream: false }), own, target('a'))

    states.retain(new Set())

    expect([before, hedges.delay(call({ stream: false }), own, target('a'))]).toEqual([50, null])
  })
})

test('whatever two attempts do, one answer comes, every place is given back and no timer is left', async () => {
  const random = seeded(23)
  const codes = [undefined, undefined, 'upstream_error', 'upstream_timeout', 'provider_rate_limited', 'invalid_request']
  const act = (): Act => ({
    ms: Math.floor(random() * 40) * 10,
    code: codes[Math.floor(random() * codes.length)] as Code | undefined,
  })
  for (let n = 0; n < 300; n++) {
    const maxAttempts = 1 + Math.floor(random() * 4)
    const after = Math.floor(random() * 20) * 10
    const options = { hedging: hedgedAfter(after), maxAttempts, random, retry: { keepOne: random() < 0.5 } }
    const fleet = fleetOf({ a: act, b: act, c: act }, options)
    const { result, entries } = await fleet.over({ stream: random() < 0.5 })
    const answers = entries.filter(entry => entry.result === 'ok').length
    const lost = entries.filter(entry => entry.result === 'lost').length

    expect(entries.length).toBeLessThanOrEqual(maxAttempts)
    expect(entries.every(entry => entry.result !== null)).toBe(true)
    expect([answers, fleet.inFlight()]).toEqual(typeof result === 'string' ? [1, 1] : [0, 0])
    expect(lost).toBeLessThanOrEqual(1)
    expect(fleet.hedges.length).toBeLessThanOrEqual(1)
    expect([fleet.clock.pending, fleet.deps.budget.remaining()]).toEqual([0, 3])
  }
})
