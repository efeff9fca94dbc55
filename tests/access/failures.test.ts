import { describe, expect, test } from 'bun:test'
import { createFailures } from '#access/failures.ts'
import { fakeClock } from '#tests/support/clock.ts'

const HOME = '203.0.113.7'

function failures(perMinute = 3) {
  const clock = fakeClock()
  const counted = createFailures({ perMinute: () => perMinute, clock })
  const fail = (times: number, address = HOME) => {
    for (let n = 0; n < times; n++) counted.note(address)
  }
  return { clock, fail, waitMs: counted.waitMs }
}

describe('an address', () => {
  test('may fail so often, then waits for exactly one more try', () => {
    const { clock, fail, waitMs } = failures()
    fail(2)
    const before = waitMs(HOME)
    fail(1)

    expect([before, waitMs(HOME)]).toEqual([0, 20_000])
    clock.advance(19_999)
    expect(waitMs(HOME)).toBe(1)
    clock.advance(1)
    expect(waitMs(HOME)).toBe(0)
    fail(1)
    expect(waitMs(HOME)).toBe(20_000)
  })

  test('is forgiven when it has been quiet for a minute', () => {
    const { clock, fail, waitMs } = failures()
    fail(3)
    clock.advance(60_000)
    fail(2)

    expect(waitMs(HOME)).toBe(0)
  })

  test('does not make another one wait', () => {
    const { fail, waitMs } = failures()
    fail(10)

    expect(waitMs('203.0.113.8')).toBe(0)
  })

  test('of IPv6 counts with its /64', () => {
    const { fail, waitMs } = failures()
    for (const host of [1, 2, 3]) fail(1, `2001:db8:0:1::${host}`)

    expect(waitMs('2001:db8:0:1:ffff::9')).toBe(20_000)
    expect(waitMs('2001:db8:0:2::1')).toBe(0)
  })

  test('that is not known is not counted, and 0 counts nobody', () => {
    const { fail, waitMs } = failures()
    fail(10, '')
    const off = failures(0)
    off.fail(10)

    expect([waitMs(''), off.waitMs(HOME)]).toEqual([0, 0])
  })

  test('is forgotten when too many others fail after it', () => {
    const { fail, waitMs } = failures()
    fail(3)
    for (let n = 0; n < 10_000; n++) fail(1, `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)

    expect(waitMs(HOME)).toBe(0)
  })
})
