import { describe, expect, test } from 'bun:test'
import type { Spool } from '#core/ledger.ts'

/** What every spool promises. */
export function spoolContract(name: string, open: (run: (spool: Spool) => Promise<void>) => Promise<void>): void {
  describe(name, () => {
    test('gives lines in their order, and again until they are dropped', () =>
      open(async spool => {
        for (const line of ['one', 'two', 'drei – drüben', 'four']) expect(spool.append(line)).toBe(true)

        expect(await spool.peek(2)).toEqual(['one', 'two'])
        expect(await spool.peek(3)).toEqual(['one', 'two', 'drei – drüben'])
        await spool.drop(3)
        expect(await spool.peek(3)).toEqual(['four'])
        await spool.drop(1)
        expect(await spool.peek(3)).toEqual([])
        spool.append('five')
        expect(await spool.peek(3)).toEqual(['five'])
      }))

    test('refuses what it has no room for', () =>
      open(async spool => {
        let taken = 0
        while (spool.append(`line ${'x'.repeat(1000)} ${taken}`)) {
          taken++
          await Promise.resolve()
        }

        expect(taken).toBeGreaterThan(5)
        expect((await spool.peek(1))[0]).toEndWith(' 0')
      }))
  })
}
