import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasEnded } from './has-ended.ts'
import { createSharedCounts, type SharedCounts } from './shared-counts.ts'
import { createSharedLock, type SharedLock } from './shared-lock.ts'
import { createSharedIndex, type SharedIndex, type SharedKey } from './shared-table.ts'

/** Places of processes are 1 to this. */
export const PLACES_MAX = 1023
/** Buckets of limits that are not full, and limits and places that are counted: powers of two, 16 bytes each. */
const CELLS = 131_072
const COUNTS = 32_768
const ENTRY_BYTES = 16
const ENTRY_WORDS = ENTRY_BYTES / 4
/** The lock, two seeds, the process of each place, and how many calls wait in it. */
const HEADER_BYTES = 16_384
/** Where the calls that wait in the process of each place are written, in words. */
const WAITING = 2048
const BYTES = HEADER_BYTES + (CELLS + COUNTS) * ENTRY_BYTES
const SEEDS = [2, 3] as const
/** How the names of such folders begin; the number of their process follows. */
const FOLDER = 'citadel-workers-'

/** Memory that the workers of one gateway share: what they limit together. */
export interface SharedMemory extends SharedLock {
  /** Buckets of limits: at which time each is full again. To be used under the lock. */
  readonly cells: { readonly index: SharedIndex; readonly fullAt: Float64Array; readonly stride: number }
  /** What is under way, and whose it is. To be used under the lock. */
  readonly counts: SharedCounts
  keyOf(text: string): SharedKey
  /** Tells how many calls wait in this process, and gives how many wait in the others. */
  waiting(own: number): number
  /** Frees what the process at a place held, which has ended. */
  reclaim(place: number): void
}

/** Makes a folder for what workers share, with the memory in it, and removes what processes have left that were killed.
 *
 * It is made of memory where the system has such a place: a disk would write it out again and again. */
export function createSharedFolder(): { readonly folder: string; remove(): void } {
  const folder = makeIn('/dev/shm') ?? makeIn(tmpdir())
  if (folder === null) throw new Error(`no room for the memory that workers share: ${BYTES} bytes in ${tmpdir()}`)
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** `null` where it cannot be made. */
function makeIn(base: string): string | null {
  let folder: string | null = null
  try {
    removeLeftovers(base)
    folder = mkdtempSync(join(base, `${FOLDER}${process.pid}-`))
    // Written whole: a place that is too small says so now, and not by a signal that ends the process later.
    writeFileSync(fileIn(folder), seeded(new Uint8Array(BYTES)), { mode: 0o600 })
    return folder
  } catch {
    if (folder !== null) rmSync(folder, { recursive: true, force: true })
    return null
  }
}

/** Opens the memory of a folder for the process at a place. */
export function openSharedMemory(folder: string, place: number): SharedMemory {
  const { buffer } = Bun.mmap(fileIn(folder), { shared: true })
  const header = new Int32Array(buffer, 0, HEADER_BYTES / 4)
  const [seedA, seedB] = SEEDS.map(at => Number(header[at]) >>> 0)
  const cells = new Int32Array(buffer, HEADER_BYTES, CELLS * ENTRY_WORDS)
  const counts = new Int32Array(buffer, HEADER_BYTES + CELLS * ENTRY_BYTES, COUNTS * ENTRY_WORDS)
  const { lock, unlock } = createSharedLock(header, place)
  const shared = createSharedCounts(counts, COUNTS, place)
  return {
    lock,
    unlock,
    cells: {
      index: createSharedIndex(cells, CELLS, ENTRY_WORDS),
      fullAt: new Float64Array(buffer, HEADER_BYTES + ENTRY_BYTES / 2, CELLS * 2 - 1),
      stride: 2,
    },
    counts: shared,
    keyOf: text => ({ a: Bun.hash.xxHash32(text, seedA) | 0 || 1, b: Bun.hash.xxHash32(text, seedB) | 0 }),
    waiting(own) {
      header[WAITING + place] = own
      let others = -own
      for (let at = WAITING; at <= WAITING + PLACES_MAX; at++) others += header[at] ?? 0
      return others
    },
    reclaim(gone) {
      header[WAITING + gone] = 0
      lock()
      shared.reclaim(gone)
      unlock()
    },
  }
}

function fileIn(folder: string): string {
  return join(folder, 'memory')
}

/** Nobody may choose names that share an entry with another's. */
function seeded(bytes: Uint8Array): Uint8Array {
  crypto.getRandomValues(bytes.subarray(SEEDS[0] * 4, (SEEDS[1] + 1) * 4))
  return bytes
}

function removeLeftovers(base: string): void {
  for (const name of readdirSync(base)) {
    if (!name.startsWith(FOLDER)) continue
    const pid = Number(name.slice(FOLDER.length).split('-')[0])
    if (hasEnded(pid)) rmSync(join(base, name), { recursive: true, force: true })
  }
}
