import { describe, expect, test } from 'bun:test'
import type { Candidate, Slots } from '#core/attempt.ts'
import type { Endpoint } from '#core/call.ts'
import { toPrice } from '#core/cost.ts'
import { GatewayError } from '#core/errors.ts'
import type { Account, Hold, HoldVerdict, LedgerStore } from '#core/ledger.ts'
import { createScope } from '#core/scope.ts'
import { estimateTokens, promptLength } from '#core/usage.ts'
import { openPurse } from '#gateway/ledger/purse.ts'
import { createLengths } from '#gateway/limits/estimate.ts'
import { createMemoryLedger } from '#stores/memory-ledger.ts'
import { call, model, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { recordOf } from '#tests/support/records.ts'

/** How long the call may take; each server would give it less. */
const WITHIN_MS = 3_600_000

const account: Account = { id: 'key:shop/web', tenant: 'shop', period: '2026-01', cap: 1_000_000, resetsAt: 1 }

/** A candidate of which one token of the answer costs so many millionths of a dollar. */
function candidateOf(server: string, output: number | null): Candidate {
  const one = target(server, { id: `${server}/m`, price: output === null ? null : { input: 0, output, request: 0 } })
  return { target: one, model: model('chat', [one]), reason: '' }
}

function purseOf(
  body: object = { max_tokens: 100 },
  accounts: readonly Account[] = [account],
  {
    endpoint = 'chat',
    own = null,
    write = JSON.stringify,
  }: {
    readonly endpoint?: Endpoint
    readonly own?: LedgerStore['hold'] | null
    readonly write?: (body: object) => string
  } = {},
) {
  const clock = fakeClock()
  const ledger = createMemoryLedger()
  const scope = createScope(clock, { within: WITHIN_MS })
  const opened: string[] = []
  const asked: Hold[] = []
  const released: string[] = []
  const places: Slots = {
    take: (candidates, _scope, later = []) => {
      const [first] = [...later, ...candidates]
      if (first === undefined) throw new Error('nobody')
      return { candidate: first, release: () => released.push(first.target.server.id) }
    },
    tryTake: ([first]) => (first === undefined ? null : { candidate: first, release() {} }),
  }
  const deps = {
    clock,
    journal: { note() {} },
    lengths: createLengths(),
    hold: (hold: Hold) => {
      asked.push(hold)
      return (own ?? ledger.hold)(hold)
    },
    opened: (_: unknown, __: unknown, { target: { server } }: Candidate) => opened.push(server.id),
  }
  const whole = { model: 'chat', messages: [], ...body }
  const called = call({ endpoint, body: whole, source: write(whole) })
  const record = recordOf()
  const slots = openPurse(deps, called, record, accounts).slots(places)
  const used = async () => (await ledger.hold({ request: 'probe', accounts: [account], nano: 0, expiresAt: 0 })).used[0]
  const take = (...candidates: Candidate[]) => slots.take(candidates, scope)
  return { clock, take, slots, used, opened, released, ledger, asked, scope, record }
}

describe('a purse', () => {
  test('holds what the answer may cost at most, and more for a dearer server', async () => {
    const { take, used, asked, opened } = purseOf()
    await take(candidateOf('cheap', 1))
    const first = await used()
    await take(candidateOf('dear', 5))
    const second = await used()
    await take(candidateOf('cheap', 1))
    await take(candidateOf('as dear', 5))

    expect([first, second, await used()]).toEqual([100_000, 500_000, 500_000])
    // The ledger is asked for nothing that is held already.
    expect(asked.map(({ nano }) => nano)).toEqual([100_000, 400_000])
    // Only what goes out first is written down.
    expect(opened).toEqual(['cheap'])
  })

  test('holds it for as long as the call may take, whichever server it has come to', async () => {
    const { clock, take, asked } = purseOf()
    await take(candidateOf('cheap', 1))
    clock.advance(WITHIN_MS / 2)
    await take(candidateOf('dear', 5))

    const late = asked.map(({ expiresAt }) => expiresAt - Date.UTC(2026, 0, 1) - WITHIN_MS)
    expect(late).toEqual([expect.any(Number), late[0] ?? 0])
    // Long enough for its row to be written, and not so long that what a dead process held is missed.
    expect(late[0]).toBeWithin(1000, 60_000)
  })

  test('asks for no more than a ledger can count, whatever a call allows its answer', async () => {
    const { take, ledger, asked } = purseOf({ max_tokens: 1e300, n: 128 })
    const tried = Promise.resolve().then(() => take(candidateOf('cheap', 1)))

    expect(await tried.catch(error => error.code)).toBe('budget_exceeded')
    expect(asked.map(({ nano }) => nano)).toEqual([expect.any(Number)])
    expect(asked[0]?.nano).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER)
    expect(ledger.holds()).toBe(0)
  })

  test.each([1e300, 0.3])(
    'asks for what a ledger can count, however often a call lets a provider search: %p',
    async max_uses => {
      const { take, asked } = purseOf({ max_tokens: 1, tools: [{ type: 'web_search_20250305', max_uses }] })
      const one = target('one', { id: 'one/m', price: { input: 0, output: 0, request: 0, search: 0.000000001 } })
      await take({ target: one, model: model('chat', [one]), reason: '' })

      expect(asked.map(({ nano }) => Number.isSafeInteger(nano))).toEqual([true])
    },
  )

  test.each([
    // What the model may say, and the advice: each reads the prompt and what was said.
    ['as often as the call allows it', { max_uses: 2, max_tokens: 50 }, 2, 100 * 1 + 2 * (100 * 2 + 50 * 10)],
    ['once where the call sets no bound', { max_tokens: 50 }, 1, 100 * 1 + 100 * 2 + 50 * 10],
    ['as much as answers usually have', {}, 1, 100 * 1 + 100 * 2 + 512 * 10],
  ])('holds what an adviser may take, %s', async (_, more, uses, millionths) => {
    const tools = [{ type: 'advisor_20260301', name: 'advisor', model: 'wise', ...more }]
    const { take, used } = purseOf({ max_tokens: 100, tools }, [{ ...account, cap: 1e12 }])
    const beside = toPrice({ input: 2, output: 10, request: 3 })
    const price = toPrice({ input: 0, output: 1 })
    const one = target('one', { id: 'one/m', price, priceBeside: name => (name === 'wise' ? beside : null) })
    await take({ target: one, model: model('chat', [one]), reason: '' })

    // The tools are a part of the prompt.
    const prompt = estimateTokens(promptLength({ tools }))
    expect(await used()).toBe((millionths + uses * prompt * 2) * 1000)
  })

  test('passes over what it cannot pay, and gives its place back', async () => {
    const { take, released, record } = purseOf()

    const slot = await take(candidateOf('dear', 50), candidateOf('cheap', 1))

    expect([slot.candidate.target.server.id, released]).toEqual(['cheap', ['dear']])
    expect(record.skipped).toEqual([{ model: 'chat', code: 'budget_exceeded' }])
  })

  test('takes a place at a server that is back only if it can pay that', async () => {
    const { slots, scope, released } = purseOf()
    const [cheap, dear, back] = [candidateOf('cheap', 1), candidateOf('dear', 50), candidateOf('back', 1)]
    const places = [await slots.take([cheap], scope, [back]), await slots.take([cheap], scope, [dear])]
    const again = await slots.take([cheap], scope, [dear])

    expect([...places, again].map(({ candidate: { target } }) => target.server.id)).toEqual(['back', 'cheap', 'cheap'])
    expect(released).toEqual(['dear'])
  })

  test('tells once of a model of which several servers are too dear', async () => {
    const { take, released, record } = purseOf()

    await take(candidateOf('dear', 50), candidateOf('as dear', 50), candidateOf('cheap', 1))

    expect(released).toEqual(['dear', 'as dear'])
    expect(record.skipped).toEqual([{ model: 'chat', code: 'budget_exceeded' }])
  })

  test('says that the budget is spent when nothing can be paid', () => {
    const { take } = purseOf()

    expect(() => take(candidateOf('dear', 50))).toThrow(
      expect.objectContaining({ code: 'budget_exceeded', shouldRetry: false }),
    )
  })

  test('lets go of what came too late, and nothing goes out', async () => {
    let answer: (verdict: HoldVerdict) => void = () => {}
    const { take, asked, opened, released, scope } = purseOf({}, [account], {
      own: () => new Promise<HoldVerdict>(resolve => (answer = resolve)),
    })
    const taking = Promise.resolve(take(candidateOf('cheap', 1)))
    scope.cancel(new GatewayError('client_closed_request', 'Gone.'))
    answer({ refused: null, used: [0] })

    expect(await taking.then(null, error => error.code)).toBe('client_closed_request')
    expect([opened, released]).toEqual([[], ['cheap']])
    expect(asked.map(({ nano }) => nano > 0)).toEqual([true, false])
    expect(asked[1]).toMatchObject({ nano: 0, expiresAt: 0 })
  })

  test('keeps nobody waiting for a ledger that is slow, and lets go of what it gives later', async () => {
    const verdict = Promise.withResolvers<HoldVerdict>()
    const { take, asked, opened, released, scope } = purseOf({}, [account], { own: () => verdict.promise })
    const taking = Promise.resolve(take(candidateOf('cheap', 1))).then(null, error => error.code)
    scope.cancel(new GatewayError('deadline_exceeded', 'Late.'))

    expect(await Promise.race([taking, settled()])).toBe('deadline_exceeded')
    expect([released, asked.length]).toEqual([['cheap'], 1])

    verdict.resolve({ refused: null, used: [0] })
    await settled()
    expect([opened, released]).toEqual([[], ['cheap']])
    expect(asked[1]).toMatchObject({ nano: 0, expiresAt: 0 })
  })

  test('takes it for nothing that a ledger fails when nobody waits for it any more', async () => {
    const verdict = Promise.withResolvers<HoldVerdict>()
    const { take, asked, released, scope } = purseOf({}, [account], { own: () => verdict.promise })
    const taking = Promise.resolve(take(candidateOf('cheap', 1))).then(null, error => error.code)
    scope.cancel(new GatewayError('client_closed_request', 'Gone.'))

    verdict.reject(new Error('away'))

    expect(await taking).toBe('client_closed_request')
    await settled()
    expect([released, asked.length]).toEqual([['cheap'], 1])
  })

  test.each([null, account])('lets go of what it gets in the moment in which its caller leaves: %p', async refused => {
    const { take, asked, opened, released, scope } = purseOf({}, [account], {
      own: () => {
        scope.cancel(new GatewayError('client_closed_request', 'Gone.'))
        return { refused, used: [0] }
      },
    })

    expect(() => take(candidateOf('cheap', 1))).toThrow(expect.objectContaining({ code: 'client_closed_request' }))
    expect([opened, released]).toEqual([[], ['cheap']])
    expect(asked.map(({ nano }) => nano > 0)).toEqual(refused === null ? [true, false] : [true])
  })

  test('asks for nothing, and opens nothing, once somebody else pays for the answer', async () => {
    const { take, asked, opened, record } = purseOf()
    record.passedOn = true

    const slot = await take(candidateOf('dear', 50))

    expect([slot.candidate.target.server.id, asked, opened]).toEqual(['dear', [], []])
  })

  test.each([null, account])(
    'goes on, and lets go, when it hears too late that somebody else pays: %p',
    async refused => {
      const verdict = Promise.withResolvers<HoldVerdict>()
      const { take, asked, opened, released, record } = purseOf({}, [account], { own: () => verdict.promise })
      const taking = Promise.resolve(take(candidateOf('cheap', 1)))

      record.passedOn = true
      verdict.resolve({ refused, used: [0] })

      expect((await taking).candidate.target.server.id).toBe('cheap')
      expect([opened, released]).toEqual([[], []])
      expect(asked.map(({ nano }) => nano > 0)).toEqual(refused === null ? [true, false] : [true])
    },
  )

  test('takes a server whose price nobody knows for nothing', async () => {
    const { take, used } = purseOf()
    await take(candidateOf('unknown', null))

    expect(await used()).toBe(0)
  })

  test('lets a second server be asked beside the first one only when that is paid already', async () => {
    const { take, slots } = purseOf()
    await take(candidateOf('first', 2))

    expect(slots.tryTake([candidateOf('dear', 3)])).toBeNull()
    expect(slots.tryTake([candidateOf('cheap', 1)])).not.toBeNull()
    expect(slots.tryTake([candidateOf('as dear', 2)])).not.toBeNull()
  })

  test('counts every answer that is asked for', async () => {
    const { take, used } = purseOf({ max_tokens: 100, n: 3 })
    await take(candidateOf('one', 1))

    expect(await used()).toBe(300_000)

    const list = purseOf({ max_tokens: 10, prompt: ['a', 'b'], n: 2, best_of: 5 }, [account], {
      endpoint: 'completions',
    })
    await list.take(candidateOf('one', 1))

    expect(await list.used()).toBe(100_000)
  })

  test.each([
    ['its prompt as if all of it went into a cache', {}, 20 * 3 + 10 * 6],
    ['it as kept for an hour, where the call may ask for that', { cache_control: { ttl: '1h' } }, 20 * 4 + 10 * 6],
    ['a spoken answer as one', { modalities: ['text', 'audio'] }, 20 * 3 + 10 * 9],
    // The numbers beside them are read like a text.
    [
      'searches',
      {
        tools: [
          { type: 'web_search_1', max_uses: 5 },
          { type: 'x', max_uses: 9 },
        ],
      },
      23 * 3 + 60 + 500,
    ],
    ['a long prompt at its tier', { prompt: 'x'.repeat(72) }, 40 * 8 + 10 * 8],
  ])('holds %s', async (_, body, millionths) => {
    const price = toPrice({
      ...{ input: 2, cache_write: 3, cache_write_1h: 4, output: 5, reasoning: 6, audio_output: 9, search: 0.0001 },
      tiers: [{ above: 30, cache_write: 8, cache_write_1h: 9, output: 8 }],
    })
    const messages = [{ role: 'user', content: 'x'.repeat(72) }]
    const { take, used } = purseOf({ max_tokens: 10, messages, ...body })
    const one = target('one', { id: 'one/m', price })
    await take({ target: one, model: model('chat', [one]), reason: '' })

    expect(await used()).toBe(millionths * 1000)
  })

  test.each([
    // The numbers themselves are read.
    ['for a number of searches that is a text', { tools: [{ type: 'web_search_1', max_uses: '5' }] }, 1 + 50],
    [
      'or less for one that is negative',
      {
        tools: [
          { type: 'web_search_1', max_uses: -5 },
          { type: 'web_search_2', max_uses: 2 },
        ],
      },
      3 + 50 + 200,
    ],
    ['for a tool that is none', { tools: [null] }, 50],
    ['for an answer that is only written', { modalities: ['text'] }, 50],
  ])('holds no more %s', async (_, body, millionths) => {
    const price = toPrice({ input: 1, output: 5, audio_output: 9, search: 0.0001 })
    const { take, used } = purseOf({ max_tokens: 10, ...body })
    const one = target('one', { id: 'one/m', price })
    await take({ target: one, model: model('chat', [one]), reason: '' })

    expect(await used()).toBe(millionths * 1000)
  })

  test('knows a prompt that is to be kept for an hour in whatever way that is written', async () => {
    const one = target('one', { id: 'one/m', price: toPrice({ input: 1, cache_write_1h: 2, output: 0 }) })
    const body = { messages: [{ role: 'user', content: 'x'.repeat(72) }], cache_control: { ttl: '1h' } }
    for (const ttl of ['"1h"', '"\\u0031h"', '"1\\u0068"', '"\\u0031\\u0068"']) {
      const { take, used } = purseOf(body, [account], { write: whole => JSON.stringify(whole).replace('"1h"', ttl) })
      await take({ target: one, model: model('chat', [one]), reason: '' })

      expect([ttl, await used()]).toEqual([ttl, 40_000])
    }
  })

  test('holds what an embedding reads where only that has a price', async () => {
    const { take, used } = purseOf({ input: 'x'.repeat(72) }, [account], { endpoint: 'embeddings' })
    const one = target('one', { id: 'one/m', price: toPrice({ input: 2 }) })
    await take({ target: one, model: model('chat', [one]), reason: '' })

    expect(await used()).toBe(40_000)
  })

  test('holds nothing where nobody has a budget, and writes the call down all the same', async () => {
    const { take, used, opened } = purseOf({}, [])
    await take(candidateOf('dear', 5000))

    expect([await used(), opened]).toEqual([0, ['dear']])
  })
})
