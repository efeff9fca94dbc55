import { fstatSync, writeSync } from 'node:fs'

/** The most that goes into a pipe in one piece, whoever else writes to it; in bytes. */
const WHOLE_BYTES = 4096
const NEWLINE = 10

/** Writes log lines to standard output.
 *
 * @throws when they cannot be written: a full disk, or a reader that has gone; the log counts them as dropped. */
export function write(text: string): void {
  writeSync(1, text)
}

/** Writes log lines where other processes write theirs: none of a usual length is torn by another one.
 *
 * @throws when they cannot be written. */
export function writeWhole(text: string): void {
  const bytes = Buffer.from(text)
  const most = fstatSync(1).isFIFO() ? WHOLE_BYTES : bytes.length
  for (let from = 0; from < bytes.length; ) {
    const end = from + most >= bytes.length ? bytes.length : lastLineEnd(bytes, from)
    writeSync(1, bytes, from, end - from)
    from = end
  }
}

/** Behind the last line that fits; behind the first one where none does. */
function lastLineEnd(bytes: Buffer, from: number): number {
  const last = bytes.lastIndexOf(NEWLINE, from + WHOLE_BYTES - 1)
  if (last >= from) return last + 1
  const next = bytes.indexOf(NEWLINE, from)
  return next < 0 ? bytes.length : next + 1
}
