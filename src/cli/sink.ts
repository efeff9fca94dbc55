import { fstatSync, writeSync } from 'node:fs'

/** The most that goes into a pipe in one piece, whoever else writes to it; in bytes. */
const WHOLE_BYTES = 4096
const NEWLINE = 10
const STDOUT = 1

/** Writes log lines.
 *
 * @throws when none of them can be written: a full disk, or a reader that has gone or does not keep up; the log counts
 * them as dropped. */
export type WriteLines = (text: string) => void

/** Creates what writes log lines. What has begun to go out goes out whole, before anything else does: its rest waits
 * where there is no room for it, so that no line is torn or lost without being counted.
 *
 * @param most Of how many bytes a piece consists that is not torn by what other processes write. */
export function createLineWriter(fd: number, most: number): WriteLines {
  let rest: Uint8Array = new Uint8Array()

  function put(bytes: Uint8Array): void {
    let from = 0
    try {
      while (from < bytes.length) from += writeSync(fd, bytes, from, pieceEnd(bytes, from, most) - from)
    } catch (thrown) {
      if (from === 0) throw thrown
    }
    rest = bytes.subarray(from)
  }

  return text => {
    if (rest.length > 0) put(rest)
    if (rest.length > 0) throw new Error('the reader does not keep up')
    put(Buffer.from(text))
  }
}

/** Writes log lines to standard output. */
export const write: WriteLines = createLineWriter(STDOUT, Number.POSITIVE_INFINITY)

/** Writes log lines where other processes write theirs: none of a usual length is torn by another one. */
export function createWholeWriter(): WriteLines {
  return createLineWriter(STDOUT, fstatSync(STDOUT).isFIFO() ? WHOLE_BYTES : Number.POSITIVE_INFINITY)
}

/** Behind the last line that fits; behind the first one where none does. */
function pieceEnd(bytes: Uint8Array, from: number, most: number): number {
  if (from + most >= bytes.length) return bytes.length
  const last = bytes.lastIndexOf(NEWLINE, from + most - 1)
  if (last >= from) return last + 1
  const next = bytes.indexOf(NEWLINE, from)
  return next < 0 ? bytes.length : next + 1
}
