import { fstatSync, writeSync } from 'node:fs'

/** Writes of up to this size into a pipe are atomic (POSIX `PIPE_BUF`), in bytes. */
const WHOLE_BYTES = 4096
const NEWLINE = 10
const STDOUT = 1

/** Writes log lines.
 *
 * @throws when none of them could be written: the disk is full, or the reader of the pipe is gone or too slow. The log then
 * counts them as dropped. */
export type WriteLines = (text: string) => void

/** Creates a writer of log lines. If only a part of a text can be written, the rest is kept and written before anything
 * else, so that no line is cut or lost without being counted.
 *
 * @param most The largest write, in bytes; it ends at a line break, unless a line is longer. */
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

/** Creates a writer for standard output that several processes share: lines of up to 4,096 bytes are not interleaved. */
export function createWholeWriter(): WriteLines {
  return createLineWriter(STDOUT, fstatSync(STDOUT).isFIFO() ? WHOLE_BYTES : Number.POSITIVE_INFINITY)
}

/** The end of the next piece to write: after the last line that fits, or after the first line if it alone is too long. */
function pieceEnd(bytes: Uint8Array, from: number, most: number): number {
  if (from + most >= bytes.length) return bytes.length
  const last = bytes.lastIndexOf(NEWLINE, from + most - 1)
  if (last >= from) return last + 1
  const next = bytes.indexOf(NEWLINE, from)
  return next < 0 ? bytes.length : next + 1
}
