import { describe, expect, test } from 'bun:test'
import type { Spool } from '#core/ledger.ts'

/** Adds lines that say what they are. */
export function add(spool: Spool<string>, ...lines: readonly string[]): void {
  for (const line of lines) expect(spool.append(line, line)).toBe(true)
}

/** What every spool promises. */
export function spoolContract(
  name: string,
  open: (run: (spool: Spool<string>) => Promise<void>) => Promise<void>,
): void {
  describe(name, () => {
    test('gives what lines say in their order, and again until they are dropped', () =>
      open(async spool => {
        add(spool, 'one', 'two', 'drei – drüben', 'four')

        expect(await spool.peek(2)).toEqual(['one', 'two'])
        expect(await spool.peek(3)).toEqual(['one', 'two', 'drei – drüben'])
        await spool.drop(3)
        expect(await spool.peek(3)).toEqual(['four'])
        await spool.drop(1)
        expect(await spool.peek(3)).toEqual([])
        add(spool, 'five')
        expect(await spool.peek(3)).toEqual(['five'])
      }))

    test('does not give what is only for its heirs', () =>
      open(async spool => {
        spool.append('-before', null)
        add(spool, 'one')
        spool.append('-between', null)
        add(spool, 'two')
        spool.append('-behind', null)

        expect(await spool.peek(9)).toEqual(['one', 'two'])
        await spool.drop(2)
        expect(await spool.peek(9)).toEqual([])
      }))

    test('refuses what it has no room for', () =>
      open(async spool => {
        let taken = 0
        const line = () => `line ${'x'.repeat(1000)} ${taken}`
        while (spool.append(line(), line())) {
          taken++
          await Promise.resolve()
        }

        expect(taken).toBeGreaterThan(5)
        expect((await spool.peek(1))[0]).toEndWith(' 0')
      }))
  })
}
