import { describe, expect, test } from 'bun:test'
import type { Clock } from '#core/clock.ts'
import type { Failures } from '#core/guards.ts'
import { fakeClock } from '#tests/support/clock.ts'

const HOME = '203.0.113.7'

/** What every count of refused credentials promises.
 *
 * @param open Opens one that knows nothing yet. */
export function failuresContract(
  name: string,
  open: (perMinute: () => number, clock: Clock) => Failures | Promise<Failures>,
): void {
  describe(name, () => {
    async function failures(perMinute = 3) {
      const clock = fakeClock()
      const counted = await open(() => perMinute, clock)
      const fail = (times: number, address = HOME) => {
        for (let n = 0; n < times; n++) counted.note(address)
      }
      return { clock, fail, waitMs: async (address = HOME) => Math.round(await counted.waitMs(address)) }
    }

    test('lets an address fail so often, then lets it wait for exactly one more try', async () => {
      const { clock, fail, waitMs } = await failures()
      fail(2)
      const before = await waitMs()
      fail(1)

      expect([before, await waitMs()]).toEqual([0, 20_000])
      clock.advance(19_999)
      expect(await waitMs()).toBe(1)
      clock.advance(1)
      expect(await waitMs()).toBe(0)
      fail(1)
      expect(await waitMs()).toBe(20_000)
    })

    test('forgives an address that has been quiet for a minute', async () => {
      const { clock, fail, waitMs } = await failures()
      fail(3)
      clock.advance(60_000)
      fail(2)

      expect(await waitMs()).toBe(0)
    })

    test('does not make another address wait', async () => {
      const { fail, waitMs } = await failures()
      fail(10)

      expect(await waitMs('203.0.113.8')).toBe(0)
    })

    test('counts an address of IPv6 with its /64', async () => {
      const { fail, waitMs } = await failures()
      for (const host of [1, 2, 3]) fail(1, `2001:db8:0:1::${host}`)

      expect(await waitMs('2001:db8:0:1:ffff::9')).toBe(20_000)
      expect(await waitMs('2001:db8:0:2::1')).toBe(0)
    })

    test('counts no address that is not known, and 0 counts nobody', async () => {
      const { fail, waitMs } = await failures()
      fail(10, '')
      const none = await waitMs('')
      const off = await failures(0)
      off.fail(10)

      expect([none, await off.waitMs()]).toEqual([0, 0])
    })
  })
}
