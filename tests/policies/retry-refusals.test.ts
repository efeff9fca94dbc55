import { describe, expect, test } from 'bun:test'
import type { Call } from '#core/call.ts'
import { createJournal, type Fact } from '#core/journal.ts'
import { fail, limited, type OverOptions, over } from '#tests/support/retries.ts'

describe('when a server refuses a call', () => {
  test('a prompt that is too long goes to a fallback model with a longer context, and to no other', async () => {
    const tooLong = fail('context_length_exceeded')
    const options = { fallbacks: ['f'] }
    const larger = await over({ a: [tooLong], b: ['ok'], f: ['ok'] }, { ...options, lengths: [8000, 32_000] })
    const smaller = await over({ a: [tooLong], f: ['ok'] }, { ...options, lengths: [8000, 4000] })
    const failing = await over({ a: [tooLong], f: ['upstream_tls_error'] }, { ...options, lengths: [8000, 32_000] })
    const invalid = await over({ a: [tooLong], f: ['invalid_request'] }, { ...options, lengths: [8000, 32_000] })
    const equal = await over({ a: [tooLong], f: ['ok'] }, { ...options, lengths: [8000, 8000] })
    const unknown = await over({ a: [tooLong], f: ['ok'] }, { ...options, lengths: [undefined, 32_000] })
    const tiresome = await over(
      { a: ['upstream_error', 'ok'], b: [tooLong], f: ['ok'] },
      { ...options, lengths: [8000, 32_000] },
    )

    expect([larger.error, larger.tried]).toEqual([null, ['a 0', 'f 0']])
    expect([smaller.error, smaller.tried]).toEqual([tooLong, ['a 0']])
    for (const { error, tried } of [failing, invalid]) expect([error, tried]).toEqual([tooLong, ['a 0', 'f 0']])
    for (const { error, tried } of [equal, unknown]) expect([error, tried]).toEqual([tooLong, ['a 0']])
    expect([tiresome.error, tiresome.tried]).toEqual([null, ['a 0', 'b 0', 'f 0']])
  })

  test('a prompt that is too long goes to a larger model that was unavailable at first, once it is back', async () => {
    const tooLong = fail('context_length_exceeded')
    const options = { fallbacks: ['f'], later: ['f'], lengths: [8000, 32_000] }
    const back = await over({ a: [limited(50), tooLong], f: ['ok'] }, { ...options, resting: { f: 40 } })
    const out = await over({ a: [limited(50), tooLong], f: ['ok'] }, { ...options, resting: { f: 60 } })

    expect([back.error, back.tried]).toEqual([null, ['a 0', 'a 50', 'f 50']])
    expect([out.error, out.tried]).toEqual([tooLong, ['a 0', 'a 50']])
  })

  test('a call with store: true may go to a fallback model, because a server that refused it has stored nothing', async () => {
    const outcomes = { a: [fail('context_length_exceeded')], f: ['ok'] } as const
    const options = { fallbacks: ['f'], lengths: [8000, 32_000], call: { body: { store: true } } }

    const { error, tried } = await over(outcomes, options)

    expect([error, tried]).toEqual([null, ['a 0', 'f 0']])
  })

  test('a filtered answer goes to a fallback model only where that is configured', async () => {
    const refused = fail('content_policy_violation')
    const outcomes = { a: [refused], b: ['ok'], f: ['ok'] } as const
    const options = { fallbacks: ['f'], retry: { afterFilter: true } }
    const usual = await over(outcomes, { fallbacks: ['f'] })
    const onward = await over(outcomes, options)
    const alone = await over({ a: [refused], b: ['ok'] }, { ...options, fallbacks: [] })
    const down = await over({ a: ['upstream_error', 'ok'], f: ['ok'] }, options)
    const failing = await over({ a: [refused], f: ['upstream_error'] }, options)
    const again = await over({ a: [refused], f: [fail('content_policy_violation')] }, options)

    expect([usual.error, usual.tried]).toEqual([refused, ['a 0']])
    expect([onward.error, onward.tried]).toEqual([null, ['a 0', 'f 0']])
    expect([alone.error, alone.tried]).toEqual([refused, ['a 0']])
    expect([down.error, down.tried]).toEqual([null, ['a 0', 'a 0']])
    expect([failing.error, failing.tried.slice(0, 2)]).toEqual([refused, ['a 0', 'f 0']])
    expect(again.error).toBe(refused)
    expect(again.tried).toEqual(['a 0', 'f 0'])
  })

  test('that another model answers is told with the reason', async () => {
    const facts: Fact[] = []
    const journal = createJournal([fact => facts.push(fact)])
    const outcomes = { a: [fail('context_length_exceeded')], f: ['ok'] } as const
    await over(outcomes, { fallbacks: ['f'], lengths: [8000, 32_000], journal })

    const reason = 'context_length_exceeded'
    expect(facts).toEqual([{ type: 'fallback-taken', from: 'm', to: 'other', reason }])
  })

  test('a filtered answer goes to no other target of the model, nor to a model that is not its fallback', async () => {
    const refused = fail('content_policy_violation')
    const on = { fallbacks: ['f'], retry: { afterFilter: true } }
    const back = await over({ a: [refused], b: ['ok'], f: ['ok'] }, { ...on, later: ['b'] })
    const beside = await over({ a: [refused], b: ['ok'], f: ['ok'] }, { ...on, beside: ['b'] })
    const again = await over({ a: [refused], f: [refused], g: ['ok'] }, { ...on, fallbacks: ['f', 'g'] })

    for (const { error, tried } of [back, beside]) expect([error, tried]).toEqual([null, ['a 0', 'f 0']])
    expect([again.error, again.tried]).toEqual([refused, ['a 0', 'f 0']])
  })

  test('an attempt is told that content is wanted only while another model could still be asked', async () => {
    const promised = async (options: OverOptions, asked: Partial<Call> = {}) => {
      const { wants } = await over({ a: ['ok'], f: ['ok'] }, { ...options, call: asked })
      return wants
    }
    const on = { fallbacks: ['f'], retry: { afterFilter: true } }

    expect(await promised(on)).toEqual([true])
    expect(await promised({ ...on, retry: {} })).toEqual([false])
    expect(await promised({ ...on, fallbacks: [] })).toEqual([false])
    expect(await promised({ ...on, resting: { f: 1000 } })).toEqual([false])
    expect(await promised({ ...on, maxAttempts: 1 })).toEqual([false])
    expect(await promised(on, { body: { store: true } })).toEqual([false])
  })
})
