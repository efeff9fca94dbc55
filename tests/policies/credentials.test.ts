import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { createJournal, type Fact } from '#core/journal.ts'
import { createCredentials } from '#policies/credentials.ts'
import { createStates } from '#registry/states.ts'
import { server, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'

const refusal = new GatewayError('upstream_auth_failed', 'no')
const limit = (retryAfterMs: number | null) => new GatewayError('provider_rate_limited', 'wait', { retryAfterMs })

function setUp(...secrets: readonly string[]) {
  const clock = fakeClock()
  const states = createStates()
  const facts: Fact[] = []
  const credentials = createCredentials({ states, clock, journal: createJournal([fact => facts.push(fact)]) })
  const only = target('a', { server: server('a', { secrets }) })
  return {
    clock,
    states,
    facts,
    credentials,
    choose: () => credentials.choose(only),
    reject: (secret: string | null, error = refusal) => credentials.rejected(only, secret, error),
    refusedUntil: () => states.target(only).refusedUntil,
  }
}

describe('the credentials of a server', () => {
  test('the first good one is used, and none where none is needed', () => {
    expect([setUp().choose(), setUp('one').choose(), setUp('one', 'two').choose()]).toEqual([null, 'one', 'one'])
  })

  test('a refused one makes way for the next at once, for ten minutes', () => {
    const { choose, reject, clock, facts } = setUp('one', 'two')

    expect(reject('one')).toBeNull()

    expect(choose()).toBe('two')
    expect(facts).toEqual([{ type: 'credential-refused', server: 'a', model: 'm', left: 1 }])
    clock.advance(599_999)
    expect(choose()).toBe('two')
    clock.advance(1)
    expect(choose()).toBe('one')
  })

  test('a limited one rests for as long as the server says', () => {
    const { choose, reject, clock, facts } = setUp('one', 'two')

    expect(reject('one', limit(5000))).toBeNull()

    expect(choose()).toBe('two')
    expect(facts).toEqual([])
    clock.advance(5000)
    expect(choose()).toBe('one')
  })

  test('when all are out, the target is out for half a minute, and then each gets another chance', () => {
    const { choose, reject, clock, refusedUntil } = setUp('one', 'two')

    expect([reject('one'), reject('two')]).toEqual([null, refusal])

    expect(refusedUntil()).toBe(30_000)
    clock.advance(30_000)
    expect(choose()).toBe('one')
    expect([reject('one'), choose()]).toEqual([null, 'two'])
  })

  test('a single one that is limited says nothing against the target', () => {
    const { reject, refusedUntil } = setUp('one')
    const limited = limit(null)

    expect([reject('one', limited), refusedUntil()]).toEqual([limited, 0])
  })

  test.each([
    { what: 'refused', error: refusal },
    { what: 'limited for longer', error: limit(30_000) },
    { what: 'without money', error: new GatewayError('insufficient_quota', 'pay') },
  ])('one that is limited for a moment is waited for, although another one is $what', ({ error }) => {
    const { choose, reject, clock, refusedUntil } = setUp('one', 'two')
    reject('one', limit(1500))
    clock.advance(500)

    const outcome = reject('two', error)

    expect([outcome?.code, outcome?.retryAfterMs, refusedUntil()]).toEqual(['provider_rate_limited', 1000, 0])
    clock.advance(1000)
    expect(choose()).toBe('one')
  })

  test.each([
    { what: 'limited for longer', error: limit(30_000) },
    {
      what: 'without money, for a shorter time',
      error: new GatewayError('insufficient_quota', 'pay', { retryAfterMs: 200 }),
    },
  ])('one that is limited for a moment is waited for, although one before it is $what', ({ error }) => {
    const { choose, reject } = setUp('one', 'two')
    reject('one', error)

    const outcome = reject('two', limit(1000))

    expect([outcome?.code, outcome?.retryAfterMs]).toEqual(['provider_rate_limited', 1000])
    // Without any, the server would answer that the key is wrong.
    expect(choose()).toBe('one')
  })

  test('everything is forgotten with a reload', () => {
    const { choose, reject, credentials, refusedUntil } = setUp('one', 'two')
    reject('one')
    reject('two')
    reject('one')

    credentials.forget()

    expect([choose(), refusedUntil()]).toEqual(['one', 0])
  })

  test('every target that was out is back after a reload', () => {
    const { states, credentials } = setUp()
    const targets = ['a', 'b'].map(id => target(id, { server: server(id, { secrets: ['one'] }) }))
    for (const each of targets) credentials.rejected(each, 'one', refusal)

    credentials.forget()

    expect(targets.map(each => states.target(each).refusedUntil)).toEqual([0, 0])
  })
})

test('what was refused long ago is not kept', async () => {
  const { states, credentials, clock } = setUp()
  const refused: WeakRef<object>[] = []
  for (let n = 0; n < 100; n++) {
    const gone = target(`s${n}`, { server: server(`s${n}`, { secrets: ['one'] }) })
    credentials.rejected(gone, 'one', refusal)
    refused.push(new WeakRef(states.target(gone)))
    clock.advance(30_000)
  }
  states.retain(new Set())

  // What was just made is kept until the turn ends.
  await Bun.sleep(0)
  Bun.gc(true)
  const kept = refused.filter(each => each.deref() !== undefined).length
  credentials.forget()

  expect(kept).toBeLessThan(20)
})
