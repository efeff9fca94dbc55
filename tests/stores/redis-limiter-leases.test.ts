import { describe, expect, test } from 'bun:test'
import { ask, bucket } from '#tests/contract/limiter.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { forgetAll } from '#tests/support/redis.ts'
import { closeAll, limiterOf, passed, redisThatMayBeAway } from '#tests/support/redis-limiters.ts'

const NOTHING = { requests: 0, tokens: 0 }

describe('leases and the absence of Redis', () => {
  const { state, heard, processes, comeBack, use } = redisThatMayBeAway()

  test('a place that was given back meanwhile is free when Redis is back', async () => {
    const [one] = processes(1)
    const only = bucket({ unit: 'concurrent', limit: 1 })
    if (one === undefined) throw new Error('no limiter')
    await ask(one, [only], 0, 'before')
    state.away = true
    one.settle([only], NOTHING, 'before')
    const meanwhile = await ask(one, [only], 0, 'meanwhile')
    state.away = false
    const during = await ask(one, [only])
    one.settle([only], NOTHING, 'meanwhile')

    expect([meanwhile, during, await ask(one, [only])].map(passed)).toEqual([true, false, true])
  })

  test('a place that Redis gave, or got back, without an answer is free when it answers', async () => {
    state.clock = fakeClock()
    let deaf = false
    let dumb = false
    const unheard: typeof heard.use = async work => {
      if (dumb) throw new Error('not asked')
      const answer = await heard.use(work)
      if (deaf) throw new Error('no answer')
      return answer
    }
    const one = limiterOf({ ...heard, use: unheard }, state.clock, {
      settings: () => ({ storeDown: 'closed', processes: 1 }),
    })
    const only = bucket({ unit: 'concurrent', limit: 1 })
    const other = bucket({ key: 'other' })

    deaf = true
    await expect(Promise.resolve(ask(one, [only]))).rejects.toThrow('does not answer')
    deaf = false
    const given = await ask(one, [only], 0, 'given')
    dumb = true
    one.settle([only], NOTHING, 'given')
    await expect(Promise.resolve(ask(one, [other]))).rejects.toThrow('does not answer')
    dumb = false

    expect([given, await ask(one, [only])].map(passed)).toEqual([true, true])
  })

  test('a place that Redis gave without an answer stays taken while the call goes on', async () => {
    state.clock = fakeClock()
    let deaf = true
    const unheard: typeof heard.use = async work => {
      const answer = await heard.use(work)
      if (deaf) throw new Error('no answer')
      return answer
    }
    const one = limiterOf({ ...heard, use: unheard }, state.clock)
    const [other] = processes(1)
    const only = bucket({ unit: 'concurrent', limit: 1 })
    const alone = await ask(one, [only])
    deaf = false
    await ask(one, [bucket({ key: 'told with this' })])

    expect([alone, other && (await ask(other, [only]))].map(verdict => verdict && passed(verdict))).toEqual([
      true,
      false,
    ])
  })

  test('calls that go on count as soon as Redis is back, empty or not, also where no other call comes', async () => {
    const [one, other] = processes(2, { processes: 2 })
    const places = bucket({ unit: 'concurrent', limit: 4 })
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await ask(one, [places])
    state.away = true
    await ask(other, [places])
    await use(forgetAll)
    comeBack()
    const verdicts = []
    for (let time = 0; time < 3; time++) verdicts.push(passed(await ask(one, [places])))

    expect(verdicts).toEqual([true, true, false])
  })

  test('what an idle process had is free as soon as Redis is back', async () => {
    const [one, idle] = processes(2)
    const only = bucket({ unit: 'concurrent', limit: 1 })
    if (one === undefined || idle === undefined) throw new Error('no limiter')
    await ask(idle, [only], 0, 'before')
    state.away = true
    idle.settle([only], NOTHING, 'before')
    comeBack()
    await settled(20)
    await use(client => client.ping())

    expect(passed(await ask(one, [only]))).toBe(true)
  })

  test('what is told when Redis is back is told once, and nothing behind the end of a process', async () => {
    const [one] = processes(1)
    const only = bucket({ unit: 'concurrent', limit: 1 })
    if (one === undefined) throw new Error('no limiter')
    const callsOf = async (run: () => unknown) => {
      const before = state.calls
      await run()
      await settled(20)
      await use(client => client.ping())
      return state.calls - before
    }
    await ask(one, [only], 0, 'before')
    state.away = true
    one.settle([only], NOTHING, 'before')
    state.away = false

    // The end of the lease and a renewal, then only renewals; and never two planned.
    const told = [await callsOf(comeBack), await callsOf(comeBack), await callsOf(() => state.clock.advance(10_000))]
    await closeAll()

    expect([...told, await callsOf(comeBack)]).toEqual([2, 1, 1, 0])
  })

  test('a lease that is given back while it is renewed stays given back, also where Redis forgot the script', async () => {
    const [one, other] = processes(2)
    const only = bucket({ unit: 'concurrent', limit: 1 })
    if (one === undefined || other === undefined) throw new Error('no limiter')
    await ask(one, [only], 0, 'first')
    await use(client => client.script('FLUSH'))
    await ask(one, [bucket({ key: 'known again' })])

    state.clock.advance(10_000)
    one.settle([only], NOTHING, 'first')
    await ask(one, [bucket({ key: 'told with this' })])
    await settled(20)
    await use(client => client.ping())

    expect(passed(await ask(other, [only]))).toBe(true)
  })
})
