import { describe, expect, test } from 'bun:test'
import { PRIORITIES } from '#core/priority.ts'
import { bodyRefusalOf, isExhausted, overloadOf, refusalOf } from '#gateway/limits/overload.ts'

describe('the pressure', () => {
  test.each([
    [{ lagMs: 0, memory: 0 }, 'none'],
    [{ lagMs: 200, memory: 0.84 }, 'none'],
    [{ lagMs: 201, memory: 0.1 }, 'low'],
    [{ lagMs: 60_000, memory: 0.1 }, 'low'],
    [{ lagMs: 0, memory: 0.85 }, 'low'],
    [{ lagMs: 0, memory: 0.92 }, 'all'],
  ] as const)('of %o makes the gateway refuse these calls: %s', (pressure, overload) => {
    expect(overloadOf(pressure)).toBe(overload)
  })

  test('makes the gateway unready only when memory is all but gone', () => {
    expect([0.94, 0.95].map(memory => isExhausted({ lagMs: 9999, memory }))).toEqual([false, true])
  })
})

describe('a refusal', () => {
  const refused = (overload: 'none' | 'low' | 'all') =>
    PRIORITIES.filter(priority => refusalOf(overload, priority) !== null)

  test('is only for the priorities that the overload refuses', () => {
    expect([refused('none'), refused('low'), refused('all')]).toEqual([[], ['low'], [...PRIORITIES]])
  })

  test('says whose calls are refused, and that a body is, which may otherwise still come', () => {
    expect([refusalOf('all', 'high'), refusalOf('low', 'low')].map(refusal => refusal?.message)).toEqual([
      'The gateway is overloaded and takes no new calls now; try again shortly.',
      'The gateway is overloaded and takes no calls of low priority now; try again shortly.',
    ])
    expect([bodyRefusalOf('none'), bodyRefusalOf('low')]).toEqual([null, null])
    expect(bodyRefusalOf('all')).toMatchObject({ code: 'overloaded', headers: { connection: 'close' } })
  })

  test('tells the caller to try again after five seconds', () => {
    expect(refusalOf('all', 'high')).toMatchObject({ code: 'overloaded', status: 503, retryAfterMs: 5000 })
  })
})
