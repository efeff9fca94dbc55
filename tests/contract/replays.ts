import { describe, expect, test } from 'bun:test'
import type { Clock } from '#core/clock.ts'
import type { Replays } from '#core/guards.ts'
import { fakeClock } from '#tests/support/clock.ts'

/** What every memory of signatures promises.
 *
 * @param open Opens one that knows nothing yet. */
export function replaysContract(name: string, open: (clock: Clock) => Replays | Promise<Replays>): void {
  describe(name, () => {
    test('takes a signature once', async () => {
      const clock = fakeClock()
      const replays = await open(clock)
      const take = (signature: string) => replays.take('web', signature, clock.time())

      expect([await take('a'), await take('a'), await take('b'), await take('a')]).toEqual([true, false, true, false])
    })

    test('takes one of many at once', async () => {
      const clock = fakeClock()
      const replays = await open(clock)

      const taken = await Promise.all(Array.from({ length: 50 }, () => replays.take('web', 'same', clock.time())))

      expect(taken.filter(isNew => isNew)).toHaveLength(1)
    })

    test('tells keys apart', async () => {
      const clock = fakeClock()
      const replays = await open(clock)
      const take = (owner: string) => replays.take(owner, 'a', clock.time())

      expect([await take('web'), await take('app'), await take('web')]).toEqual([true, true, false])
    })

    test('remembers one from the future as long as it is good', async () => {
      const clock = fakeClock()
      const replays = await open(clock)
      const at = clock.time() + 5 * 60_000
      await replays.take('web', 'early', at)
      clock.advance(10 * 60_000)

      expect(await replays.take('web', 'early', at)).toBe(false)
    })
  })
}
