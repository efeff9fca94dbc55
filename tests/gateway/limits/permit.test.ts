import { describe, expect, test } from 'bun:test'
import type { Candidate, Plan, Slots } from '#core/attempt.ts'
import type { Fact } from '#core/journal.ts'
import type { Bucket, Limiter } from '#core/limiter.ts'
import type { RequestRecord } from '#core/record.ts'
import { createScope } from '#core/scope.ts'
import { createLengths } from '#gateway/limits/estimate.ts'
import { openPermit } from '#gateway/limits/permit.ts'
import { createMemoryLimiter } from '#stores/memory-limiter.ts'
import { bucket } from '#tests/contract/limiter.ts'
import { call, model, slotFor, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { recordOf } from '#tests/support/records.ts'

const TOKENS = bucket({ key: 'caller', unit: 'tokens', limit: 10_000 })
const A = candidate('a')
const B = candidate('b')
const A_TOKENS = tokensOf('a')
const B_TOKENS = tokensOf('b')
const PLAN: Plan = { model: A.model, strategy: 'explicit', candidates: [A, B] }
const PLACES: Slots = { take: ([first = A]) => slotFor(first), tryTake: () => null }
const USED = { input: 10, cacheRead: 20, cacheWrite: 30, output: 40, reasoning: 5, estimated: false }

function candidate(name: string): Candidate {
  const own = target(name)
  return { target: own, model: model(name, [own]), reason: 'test' }
}

function tokensOf(name: string): Bucket {
  return bucket({ key: `model:${name}`, scope: 'model', unit: 'tokens', limit: 10_000 })
}

function requestsOf(name: string): Bucket {
  return bucket({ key: `requests:${name}` })
}

/** Permits of calls that say `Hi`, which is one token, over real buckets. */
function setup({ user = [], until }: { readonly user?: readonly Bucket[]; readonly until?: Promise<void> } = {}) {
  const clock = fakeClock()
  const memory = createMemoryLimiter({ clock, entriesMax: 100 })
  const slowly: Limiter['take'] = async (...asked) => {
    await until
    return memory.take(...asked)
  }
  const facts: Fact[] = []
  const deps = {
    clock,
    limiter: until === undefined ? memory : { ...memory, take: slowly },
    journal: { note: (fact: Fact) => void facts.push(fact) },
    lengths: createLengths(),
    limitsOf: () => ({
      user,
      tokens: [TOKENS],
      model: ({ name }: { readonly name: string }) => [tokensOf(name), requestsOf(name)],
    }),
  }
  const scope = createScope(clock)
  const asking = (body: object) => call({ body: { messages: [{ role: 'user', content: 'Hi' }], ...body } })
  const open = (record: RequestRecord, body: object = { max_tokens: 999 }) => {
    const permit = openPermit(deps, asking(body), record)
    if (permit === null) throw new Error('nothing is limited')
    return { permit, dial: (to: Candidate) => permit.slots(PLACES).take([to], scope) }
  }
  const left = (...buckets: Bucket[]) => buckets.map(one => memory.take([one], 0, 'probe').tokens?.remaining)
  /** Somebody else uses so many tokens of the caller and of both models. */
  const use = (tokens: number) => memory.take([TOKENS, A_TOKENS, B_TOKENS], tokens, 'somebody')
  return { clock, memory, facts, open, asking, left, use }
}

const begun = (more: Partial<RequestRecord> = {}) => recordOf({ usage: null, model: null, plan: PLAN, ...more })

describe('the tokens of a call', () => {
  test('are all that it used, however its prompt was read', async () => {
    const { open, left } = setup()
    const record = begun()
    const { permit, dial } = open(record)
    await dial(A)
    const held = left(TOKENS, A_TOKENS)

    Object.assign(record, { usage: USED, model: 'a' })
    permit.settle()

    expect([held, left(TOKENS, A_TOKENS)]).toEqual([
      [9000, 9000],
      [9900, 9900],
    ])
  })

  test('are the ones of the model that answered', async () => {
    const { open, left } = setup()
    const record = begun()
    const { permit, dial } = open(record)
    await dial(A)
    await dial(B)

    Object.assign(record, { usage: USED, model: 'a' })
    permit.settle()

    expect(left(TOKENS, A_TOKENS, B_TOKENS)).toEqual([9900, 9900, 10_000])
  })

  test('are held as long as the model’s answers were, where a call does not say', async () => {
    const { open, left } = setup()
    const record = begun()
    const { permit, dial } = open(record, {})
    await dial(A)
    Object.assign(record, { usage: { ...USED, output: 1000 }, model: 'a' })
    permit.settle()
    const [before = 0] = left(TOKENS)

    await open(begun(), {}).dial(A)

    // Twice the first answer: how far others stray from it is not known yet.
    expect(left(TOKENS)).toEqual([before - 2001])
  })

  test('are not learned from an answer for which none were taken', async () => {
    const { open, left } = setup()
    open(begun({ usage: { ...USED, output: 1 }, model: 'a' }), {}).permit.settle()

    await open(begun(), {}).dial(A)

    expect(left(TOKENS)).toEqual([10_000 - 513])
  })

  test('are held for what a server is asked, where a part of the answer is there already', async () => {
    const { open, asking, left } = setup()
    await open(begun({ asked: asking({ max_tokens: 99 }) })).dial(A)

    expect(left(TOKENS, A_TOKENS)).toEqual([9900, 9900])
  })

  test('go on to whoever pays in place of a caller who has left, and are taken of nobody twice', async () => {
    const { memory, open, left, use } = setup()
    use(5000)
    const leaver = begun()
    const first = open(leaver)
    await first.dial(A)
    leaver.passedOn = true
    first.permit.settle()
    first.permit.settle()
    const passed = left(TOKENS, A_TOKENS)

    open(begun({ heirOf: leaver, usage: USED, model: 'a' })).permit.settle()
    const inherited = left(TOKENS, A_TOKENS)
    first.permit.end()

    expect([passed, inherited]).toEqual([
      [5000, 4000],
      [4900, 3900],
    ])
    expect(left(TOKENS, A_TOKENS)).toEqual([4900, 4900])
    // Both were one request to the model; the other one of the sixty is to look.
    expect(memory.take([requestsOf('a')], 0, 'probe')).toMatchObject({ requests: { remaining: 58 } })
  })

  test('are what was used, also where the work is over before the request', async () => {
    const { open, left } = setup()
    const record = begun()
    const { permit, dial } = open(record)
    await dial(A)
    permit.end()
    Object.assign(record, { usage: USED, model: 'a' })
    permit.settle()

    expect(left(TOKENS, A_TOKENS)).toEqual([9900, 9900])
  })
})

describe('the end user of a call', () => {
  const PLACE = bucket({ key: 'user', scope: 'user', unit: 'concurrent', limit: 1 })
  const RATE = bucket({ key: 'user-rate', scope: 'user', burst: 1 })

  test('is refused by what is limited, which is told of', async () => {
    const { memory, facts, open } = setup({ user: [PLACE] })
    memory.take([PLACE], 0, 'somebody')

    expect(() => open(begun()).permit.enter()).toThrow(
      expect.objectContaining({ code: 'concurrency_limit_exceeded', retryAfterMs: 1000 }),
    )
    expect(facts).toEqual([{ type: 'limit-hit', scope: 'user' }])
  })

  test('comes again no sooner than the next request passes, whatever refuses this one', async () => {
    const { clock, open, use } = setup({ user: [RATE] })
    use(10_000)
    clock.advance(5600)
    const { permit, dial } = open(begun())
    await permit.enter()

    // 1000 tokens are back in 400 ms, one more request of the user in a second.
    expect(() => dial(A)).toThrow(expect.objectContaining({ code: 'token_limit_exceeded', retryAfterMs: 1000 }))
  })

  test('has the place back that a slow store gives when the call is over', async () => {
    const answer = Promise.withResolvers<void>()
    const { memory, open } = setup({ user: [PLACE], until: answer.promise })
    const { permit } = open(begun())
    const entering = permit.enter()
    permit.settle()

    answer.resolve()
    await entering
    await settled(1)

    expect(memory.take([PLACE], 0, 'next').refused).toBeNull()
  })
})
