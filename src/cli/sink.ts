import { writeSync } from 'node:fs'

/** Writes log lines to standard output.
 *
 * @throws when they cannot be written: a full disk, or a reader that has gone; the log counts them as dropped. */
export function write(text: string): void {
  writeSync(1, text)
}
