import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { ProbeBoard } from '#core/probes.ts'

/** What every board of probes promises. */
export function probesContract(
  name: string,
  open: () => Promise<{ create(): Promise<ProbeBoard>; close(): Promise<void> }>,
): void {
  describe(name, () => {
    let opened: Awaited<ReturnType<typeof open>>
    let board: ProbeBoard
    beforeAll(async () => {
      opened = await open()
      board = await opened.create()
    }, 60_000)
    afterAll(() => opened.close())

    test('tells the last good answer of a server, unless it is older than is asked for', async () => {
      await board.post('a', { at: 1000, latencyMs: 2.5 }, 60_000)
      await board.post('a', { at: 2000, latencyMs: 3.25 }, 60_000)

      expect(await board.since('a', 2000)).toEqual({ at: 2000, latencyMs: 3.25 })
      expect(await board.since('a', 2000.5)).toBeNull()
    })

    test('keeps what was told last, also by a clock that was set back', async () => {
      await board.post('b', { at: 9000, latencyMs: 1 }, 60_000)
      await board.post('b', { at: 3000, latencyMs: 2 }, 60_000)

      expect(await board.since('b', 1)).toEqual({ at: 3000, latencyMs: 2 })
    })

    test('knows nothing of other servers', async () => {
      expect(await board.since('another', 0)).toBeNull()
    })
  })
}
