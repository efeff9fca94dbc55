import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** Finds the folder of shared material that stands beside the repository: recorded wire traffic and the
 * organisation's own files.
 *
 * @returns Null when it is absent on a machine that was not told to have it; tests then say so and pass. */
export function sharedDir(): string | null {
  const named = process.env.CITADEL_WIRE_DIR
  const wire = resolve(named ?? join(import.meta.dir, '../../../shared/wire'))
  if (existsSync(wire)) return resolve(wire, '..')
  if (named !== undefined || process.env.CI)
    throw new Error(`${wire} does not exist; set CITADEL_WIRE_DIR to its place`)
  console.info('skipped: the shared folder is not here; set CITADEL_WIRE_DIR to its wire folder')
  return null
}
