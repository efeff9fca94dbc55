import { hasEnded } from './has-ended.ts'

/** Words of the header of a shared memory. */
const LOCK = 1
/** Where the process of each place is written. */
const PIDS = 16
/** Looks at the lock before the thread rests for a moment: who has it needs less than a microsecond, unless the processor
 * was taken from it. */
const SPINS = 100
const REST_MS = 0.05
/** How long a holder that lives is waited for: it was stopped in the middle, and everybody stands still meanwhile. */
const PATIENCE_MS = 1000

/** Lets one process at a time into a shared memory. What it holds is marked with its place, so that nobody waits for
 * one that has died. */
export interface SharedLock {
  lock(): void
  unlock(): void
}

/** Creates the lock for the process at a place, and writes down that it is there.
 *
 * @param words The header.
 * @param place 1 or more. */
export function createSharedLock(words: Int32Array, place: number): SharedLock {
  Atomics.store(words, PIDS + place, process.pid)
  // The runtime's own sleep knows no less than a millisecond.
  const bed = new Int32Array(new SharedArrayBuffer(4))

  function wait(): void {
    const since = performance.now()
    for (let spins = 1; Atomics.compareExchange(words, LOCK, 0, place) !== 0; spins++) {
      if (spins % SPINS !== 0) continue
      const holder = Atomics.load(words, LOCK)
      const isGone =
        holder !== 0 && (hasEnded(Atomics.load(words, PIDS + holder)) || performance.now() - since > PATIENCE_MS)
      if (isGone && Atomics.compareExchange(words, LOCK, holder, place) === holder) return
      Atomics.wait(bed, 0, 0, REST_MS)
    }
  }

  return {
    lock() {
      if (Atomics.compareExchange(words, LOCK, 0, place) !== 0) wait()
    },
    unlock() {
      // Who was waited for too long has it no more.
      Atomics.compareExchange(words, LOCK, place, 0)
    },
  }
}
