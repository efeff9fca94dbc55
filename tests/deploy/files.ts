import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { configFrom } from '#config/load.ts'
import { runProgram } from '#tests/support/server-process.ts'

/** The root of the project, and the folder of what is needed to run it elsewhere. */
export const ROOT = new URL('../../', import.meta.url).pathname
export const DEPLOY = join(ROOT, 'config/deploy')

/** Reads one of the files by its path in that folder. */
export function read(path: string): string {
  return readFileSync(join(DEPLOY, path), 'utf8')
}

/** How long the gateway may take to stop, in seconds: whoever stops it must wait longer. */
export function stopSeconds(): number {
  const { drain_delay, drain_timeout } = configFrom({}).service
  return (drain_delay + drain_timeout) / 1000
}

/** Runs a program to its end.
 *
 * @returns All that it says, errors and warnings too.
 * @throws Error with that when it fails. */
export function sayingAll(...command: readonly string[]): Promise<string> {
  return runProgram(['sh', '-c', 'exec "$@" 2>&1', 'sh', ...command])
}
