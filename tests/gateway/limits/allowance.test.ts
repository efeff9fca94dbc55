import { describe, expect, test } from 'bun:test'
import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import type { Bucket, Limiter } from '#core/limiter.ts'
import { createScope } from '#core/scope.ts'
import { createAllowance } from '#gateway/limits/allowance.ts'
import { queueFull } from '#gateway/queue/slots.ts'
import { createMemoryLimiter } from '#stores/memory-limiter.ts'
import { bucket } from '#tests/contract/limiter.ts'
import { model, slotFor, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const A = candidate('a')
const B = candidate('b')
const TOKENS = bucket({ key: 'caller', unit: 'tokens', limit: 1000 })

function candidate(name: string): Candidate {
  const own = target(name)
  return { target: own, model: model(name, [own]), reason: 'test' }
}

const tokensOf = (name: string, limit = 1000): Bucket =>
  bucket({ key: `model:${name}`, scope: 'model', unit: 'tokens', limit })
const placesOf = (name: string): Bucket =>
  bucket({ key: `places:${name}`, scope: 'model', unit: 'concurrent', limit: 1 })

/** An allowance over real buckets; places are given at the candidate that `choose` picks. */
function setup(
  options: {
    readonly choose?: (candidates: readonly Candidate[]) => Candidate
    readonly slow?: boolean
    /** Until when the store says nothing. */
    readonly until?: Promise<void>
    /** Whether a place has to be waited for. */
    readonly waits?: boolean
    /** The model for which the store fails. */
    readonly fails?: string
  } = {},
) {
  const clock = fakeClock()
  const memory = createMemoryLimiter({ clock, entriesMax: 100 })
  const slowly: Limiter['take'] = async (...asked) => {
    const verdict = memory.take(...asked)
    await options.until
    return verdict
  }
  const failing: Limiter['take'] = (buckets, ...asked) => {
    if (buckets.some(({ key }) => key === `places:${options.fails}`)) return Promise.reject(new Error('away'))
    return memory.take(buckets, ...asked)
  }
  const limiter: Limiter = { ...memory, take: options.slow ? slowly : failing }
  const denied: string[] = []
  const released: string[] = []
  const allowance = createAllowance({
    limiter,
    limits: { tokens: [TOKENS], model: ({ name }) => [tokensOf(name), placesOf(name)] },
    owner: 'call',
    estimate: () => 400,
    waitMs: () => 0,
    onDenied: ({ name }, { scope }, { code }) => denied.push(`${name} ${scope} ${code}`),
  })
  const slotAt = (chosen: Candidate): Slot => ({
    ...slotFor(chosen),
    release: () => void released.push(chosen.model.name),
  })
  const choose = options.choose ?? (([first]) => first ?? A)
  const places: Slots = {
    take(open, _scope, later = []) {
      const candidates = [...open, ...later]
      return options.waits ? settled(1).then(() => slotAt(choose(candidates))) : slotAt(choose(candidates))
    },
    tryTake: ([first]) => (first === undefined ? null : slotAt(first)),
  }
  const slots = allowance.slots(places)
  const scope = createScope(clock)
  const left = (one: Bucket) => memory.take([one], 0, 'probe').tokens?.remaining
  const isFree = (name: string) => {
    const free = memory.take([placesOf(name)], 0, 'probe').refused === null
    memory.settle([placesOf(name)], { requests: 0, tokens: 0 }, 'probe')
    return free
  }
  const take = async (...candidates: Candidate[]) => (await slots.take(candidates, scope)).candidate.model.name
  return { allowance, memory, slots, scope, denied, released, left, isFree, take }
}

describe('the allowance of a call', () => {
  test('takes the caller’s tokens once, and those of the model, and settles both', async () => {
    const { allowance, take, left, isFree } = setup()

    await take(A)
    await take(A)
    const held = [left(TOKENS), left(tokensOf('a')), isFree('a')]
    allowance.settle(150)
    allowance.settle(900)

    expect(held).toEqual([600, 600, false])
    expect([left(TOKENS), left(tokensOf('a')), isFree('a')]).toEqual([850, 850, true])
  })

  test('is counted for the model that answered, not for one that was asked for a place since', async () => {
    const { allowance, take, left, isFree } = setup()

    await take(A)
    await take(B)
    allowance.settle(150, A.model)

    expect([left(TOKENS), left(tokensOf('a')), left(tokensOf('b'))]).toEqual([850, 850, 1000])
    expect([isFree('a'), isFree('b')]).toEqual([true, true])
  })

  test('needs no promise where the limiter needs none', () => {
    const { slots, scope } = setup()

    expect(slots.take([A], scope)).not.toBeInstanceOf(Promise)
  })

  test('tells of the caller’s own tokens where they are tighter, also when the call goes on to another model', async () => {
    const { memory, allowance, slots, scope } = setup()
    memory.take([TOKENS], 500, 'earlier')
    await slots.take([A], scope)
    await slots.take([B], scope)

    expect(allowance.verdict?.tokens).toMatchObject({ limit: 1000, remaining: 100 })
  })

  test('gives the first model back when the call goes on to another one', async () => {
    const { allowance, take, left, isFree } = setup()

    await take(A)
    await take(B)
    const then = [left(TOKENS), left(tokensOf('a')), left(tokensOf('b')), isFree('a'), isFree('b')]
    allowance.settle(100)

    expect(then).toEqual([600, 1000, 600, true, false])
    expect([left(TOKENS), left(tokensOf('a')), left(tokensOf('b'))]).toEqual([900, 1000, 900])
  })

  test.each([false, true])('passes over a model that is limited (store in another process: %p)', async slow => {
    const { memory, take, denied } = setup({ slow })
    memory.take([placesOf('a')], 0, 'somebody')

    expect(await take(A, B)).toBe('b')
    expect(denied).toEqual(['a model concurrency_limit_exceeded'])
  })

  test.each([false, true])('goes on at somebody else’s cost (store in another process: %p)', async slow => {
    const { allowance, memory, take, left, isFree } = setup({ slow })
    memory.take([TOKENS], 100, 'somebody')
    await take(A)

    allowance.passOn()
    allowance.passOn()
    const passed = [left(TOKENS), left(tokensOf('a')), isFree('a')]
    const model = await take(B)
    const then = [left(TOKENS), left(tokensOf('a')), left(tokensOf('b')), isFree('a'), isFree('b')]
    allowance.settle(0)

    expect(passed).toEqual([900, 600, false])
    expect([model, ...then]).toEqual(['b', 900, 1000, 600, true, false])
    expect([left(TOKENS), left(tokensOf('b')), isFree('b')]).toEqual([900, 1000, true])
  })

  test('takes nothing of a caller who leaves to others what the store still decides', async () => {
    const answer = Promise.withResolvers<void>()
    const { allowance, take, left, isFree } = setup({ slow: true, until: answer.promise })
    const taken = take(A)

    allowance.passOn()
    answer.resolve()

    expect([await taken, left(TOKENS), left(tokensOf('a')), isFree('a')]).toEqual(['a', 1000, 600, false])
  })

  test('takes a place at a server that is back only if its model admits the call, and asks that once', async () => {
    const { memory, slots, scope, denied, released } = setup({ choose: all => all.at(-1) ?? A, waits: true })
    const free = await slots.take([A], scope, [B])
    await slots.take([A], scope)
    memory.take([placesOf('b')], 0, 'somebody')
    const refused = await slots.take([A], scope, [B])
    const again = await slots.take([A], scope, [B])

    expect([free, refused, again].map(({ candidate }) => candidate.model.name)).toEqual(['b', 'a', 'a'])
    expect([denied, released]).toEqual([['b model concurrency_limit_exceeded'], ['b']])
  })

  test('refuses with its limit when the only server that is back is of a limited model', async () => {
    const choose = ([first]: readonly Candidate[]) => {
      if (first === undefined) throw queueFull(0)
      return first
    }
    const { memory, slots, scope, released } = setup({ choose, waits: true })
    memory.take([placesOf('b')], 0, 'somebody')

    const error = await Promise.resolve(slots.take([], scope, [B])).catch((thrown: GatewayError) => thrown)

    expect([error, released]).toMatchObject([{ code: 'concurrency_limit_exceeded' }, ['b']])
  })

  test('asks for a limited model once only', async () => {
    const { memory, take, denied } = setup()
    memory.take([placesOf('a')], 0, 'somebody')
    await take(A, B)
    memory.settle([placesOf('a')], { requests: 0, tokens: 0 }, 'somebody')

    expect(await take(A, B)).toBe('b')
    expect(denied).toHaveLength(1)
  })

  test('refuses when every model is limited, with the shortest wait, and holds nothing', async () => {
    const { memory, take, left } = setup()
    memory.take([tokensOf('a')], 1000, 'somebody')
    memory.take([placesOf('b')], 0, 'somebody')

    const error = await take(A, B).catch((thrown: GatewayError) => thrown)

    expect(error).toMatchObject({ code: 'concurrency_limit_exceeded', retryAfterMs: 1000 })
    expect(left(TOKENS)).toBe(1000)
  })

  test.each([
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ])('follows a place at another model than the first (slow: %p, waits: %p)', async (slow, waits) => {
    const { allowance, take, isFree, left } = setup({ choose: ([first, second]) => second ?? first ?? A, slow, waits })

    expect(await take(A, B)).toBe('b')
    expect([isFree('a'), isFree('b'), left(TOKENS)]).toEqual([true, false, 600])
    allowance.settle(0)
    expect(left(TOKENS)).toBe(1000)
  })

  test.each([false, true])('gives a place back whose model turns out to be limited (slow: %p)', async slow => {
    const { memory, take, released } = setup({ choose: ([first, second]) => second ?? first ?? A, slow })
    memory.take([placesOf('b')], 0, 'somebody')

    expect(await take(A, B)).toBe('a')
    expect(released).toEqual(['b'])
  })

  test('keeps nobody waiting for a store that is slow, and gives back what it gives later', async () => {
    const answer = Promise.withResolvers<void>()
    const { allowance, take, left, isFree, scope, released } = setup({ slow: true, until: answer.promise })
    const taking = take(A).catch((thrown: GatewayError) => thrown.code)
    scope.cancel(new GatewayError('deadline_exceeded', 'Late.'))

    expect(await Promise.race([taking, settled()])).toBe('deadline_exceeded')

    allowance.settle(0)
    answer.resolve()
    await settled()
    expect([left(TOKENS), left(tokensOf('a')), isFree('a'), released]).toEqual([1000, 1000, true, []])
  })

  test('what the store gives after the call is over goes back', async () => {
    const { allowance, take, left, isFree } = setup({ slow: true })

    const late = take(A)
    allowance.settle(0)

    await expect(late).rejects.toThrow()
    expect([left(TOKENS), left(tokensOf('a')), isFree('a')]).toEqual([1000, 1000, true])
  })

  test('gives back nothing that the store refuses after the call is over', async () => {
    const { allowance, memory, take, left } = setup({ slow: true })
    memory.take([TOKENS], 700, 'somebody')

    const late = take(A)
    allowance.settle(0)

    await expect(late).rejects.toThrow()
    expect(left(TOKENS)).toBe(300)
  })

  test('gives a place back when the store fails that is asked for its model', async () => {
    const { memory, slots, scope, released } = setup({ choose: ([first, second]) => second ?? first ?? A, fails: 'b' })

    await expect(Promise.resolve(slots.take([A, B], scope))).rejects.toThrow('away')
    expect([released, memory.take([placesOf('b')], 0, 'next').refused]).toEqual([['b'], null])
  })

  test('takes a place at once only at the model that it has', async () => {
    const { slots, take } = setup()

    const before = slots.tryTake([A])
    await take(A)

    expect(before).toBeNull()
    expect(slots.tryTake([B, A])?.candidate).toBe(A)
  })
})
