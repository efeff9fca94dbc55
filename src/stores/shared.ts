import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasEnded } from './has-ended.ts'
import { createSharedCounts, type SharedCounts } from './shared-counts.ts'
import { createSharedLock, type SharedLock } from './shared-lock.ts'
import { createSharedIndex, type SharedIndex, type SharedKey } from './shared-table.ts'

/** Each process that shares the memory has a place number from 1 to this. */
export const PLACES_MAX = 1023
/** The number of entries for buckets of rate limits, and for counts of leases and calls; powers of two, 16 bytes each. */
const CELLS = 131_072
const COUNTS = 32_768
const ENTRY_BYTES = 16
const ENTRY_WORDS = ENTRY_BYTES / 4
/** The header: the lock, two hash seeds, the process id of each place number, and the number of calls that wait there. */
const HEADER_BYTES = 16_384
/** Where the numbers of waiting calls begin in the header, in words. */
const WAITING = 2048
const BYTES = HEADER_BYTES + (CELLS + COUNTS) * ENTRY_BYTES
const SEEDS = [2, 3] as const
/** The prefix of these folders' names; the process id of the supervisor follows. */
const FOLDER = 'citadel-workers-'

/** Memory that the workers of one gateway share, for the limits that they enforce together. */
export interface SharedMemory extends SharedLock {
  /** Buckets of rate limits: when each is full again, in milliseconds of the machine's clock. To be used while holding the
   * lock. */
  readonly cells: { readonly index: SharedIndex; readonly fullAt: Float64Array; readonly stride: number }
  /** Leases and calls in flight. To be used while holding the lock. */
  readonly counts: SharedCounts
  /** Hashes a name into a key. */
  keyOf(text: string): SharedKey
  /** Stores how many calls wait in this process.
   *
   * @returns How many wait in all others. */
  waiting(own: number): number
  /** Frees everything that an ended process held. */
  reclaim(place: number): void
}

/** Makes the folder with the shared memory file, and removes the folders of gateways that were killed.
 *
 * It is in `/dev/shm` if possible, because a file on a disk would be written out again and again.
 *
 * @throws Error when there is no room for it. */
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
    // Every byte is written now: in a sparse file, a full file system would kill the process later with SIGBUS.
    writeFileSync(fileIn(folder), seeded(new Uint8Array(BYTES)), { mode: 0o600 })
    return folder
  } catch {
    if (folder !== null) rmSync(folder, { recursive: true, force: true })
    return null
  }
}

/** Opens the shared memory for the process with this place number. */
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

/** Writes random hash seeds, so that callers cannot choose names whose hashes collide with those of others. */
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
