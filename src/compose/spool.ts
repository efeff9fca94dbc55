import { join } from 'node:path'
import type { Environment } from '#config/env.ts'
import { dataDir } from '#config/places.ts'
import type { Config } from '#config/schema.ts'
import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import type { Spool } from '#core/ledger.ts'
import type { SpoolNeeds } from '#gateway/ledger/backlog.ts'
import type { KeptRow } from '#gateway/ledger/lines.ts'
import type { Recorder } from '#gateway/ledger/recorder.ts'
import { createFileSpool } from '#stores/file-spool.ts'
import { createMemorySpool } from '#stores/memory-spool.ts'
import { adoptSpools, type Sightings, TOUCH_MS, touchSpool } from '#stores/spool-adoption.ts'

const SPOOL = { bytesMax: 256 * 1024 * 1024, fileBytesMax: 16 * 1024 * 1024, rememberedMax: 10_000 }
/** How many rows wait in memory at most, where there is no folder. */
const SPOOL_LINES_MAX = 10_000

/** The folder of the spools of all processes; `null` where there is no place for state. */
export function spoolFolder(config: Config, env: Environment): string | null {
  const folder = dataDir(config, env)
  return folder === null ? null : join(folder, 'spool')
}

/** Opens the spool; in memory where the folder cannot be written. */
export function openSpool(folder: string | null, name: string, needs: SpoolNeeds, journal: Journal): Spool<KeptRow> {
  if (folder === null) return createMemorySpool(SPOOL_LINES_MAX)
  try {
    return createFileSpool({ folder, name, ...needs, ...SPOOL })
  } catch (thrown) {
    journal.note({ type: 'rows-delayed', reason: String(thrown), waiting: 0 })
    return createMemorySpool(SPOOL_LINES_MAX)
  }
}

/** Takes over the rows that ended processes have left, and marks the own file as in use, again and again. */
export function adoptNowAndThen(
  folder: string,
  name: string,
  recorder: Pick<Recorder, 'adopt' | 'depth'>,
  { clock, journal }: { readonly clock: Clock; readonly journal: Journal },
): () => void {
  let stopped = false
  let disarm: () => void = () => {}
  const sightings: Sightings = new Map()
  async function round(): Promise<void> {
    await touchSpool(folder, name, clock.time())
    await adoptSpools({ folder, name, clock, sightings }, recorder.adopt)
  }
  function again(): void {
    if (!stopped) disarm = clock.after(TOUCH_MS, run)
  }
  // Files that cannot be read now are tried again the next time.
  const run = () =>
    void round()
      .catch(thrown => journal.note({ type: 'rows-delayed', reason: String(thrown), waiting: recorder.depth() }))
      .then(again)
  run()
  return () => {
    stopped = true
    disarm()
  }
}
