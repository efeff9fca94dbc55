import { othersTurn } from '#lib/turn.ts'
import type { Backlog } from './backlog.ts'
import { type KeptRow, openingOfLine, rowOfLine } from './lines.ts'
import { type Opening, toLostRow } from './row.ts'

/** Takes over what another process has left: its lines, and that there are no more of them; no faster than the store
 * takes them, so that there is room for rows of our own.
 *
 * @throws Error when there is no room, or the disk did not take it; what was taken may be told again, from the first
 * line. */
export interface Adoption {
  begin(): Promise<void>
  line(line: string): void | Promise<void>
  end(): Promise<void>
}

/** Creates the adoption of what other processes have left, one process after the other. */
export function createAdoption(backlog: Backlog): Adoption {
  /** The opening lines of requests that have no row so far: they died with their process if none follows. */
  const unsettled = new Map<string, Opening>()
  let unwrittenBefore = 0

  /** Takes over a row; if there is no room for it here, it stays in the file of its process. */
  function take(line: string, row: KeptRow): void | Promise<void> {
    if (!backlog.offer(line, row)) throw noRoom()
    if (backlog.isBatch()) return makeRoom()
  }

  async function makeRoom(): Promise<void> {
    if (backlog.isBatch()) await backlog.flush()
    if (backlog.isBatch()) throw noRoom()
  }

  return {
    begin() {
      unsettled.clear()
      unwrittenBefore = backlog.unwritten()
      return makeRoom()
    },
    line(line) {
      const opening = openingOfLine(line)
      if (opening !== null) unsettled.set(opening.id, opening)
      const row = rowOfLine(line)
      if (row === null) return
      unsettled.delete(row.id)
      return take(line, row)
    },
    async end() {
      for (const opening of unsettled.values()) {
        const row = toLostRow(opening)
        await take(`r${JSON.stringify(row)}`, row)
      }
      // After this, the lines added in this turn of the event loop are on the disk.
      await othersTurn()
      if (backlog.unwritten() > unwrittenBefore)
        throw new Error('what another process has left was not taken by the disk')
    },
  }
}

function noRoom(): Error {
  return new Error('there is no room for what another process has left')
}
