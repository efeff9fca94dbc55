import { hasEnded } from './has-ended.ts'

/** The word of the header that holds the lock: the place number of its holder, 0 = free. */
const LOCK = 1
/** Where the process ids of the place numbers begin in the header, in words. */
const PIDS = 16
/** How often the lock is tried before the thread sleeps: its holder needs less than a microsecond, unless it was
 * descheduled. */
const SPINS = 100
const REST_MS = 0.05
/** After how long the lock is taken from a living holder, in milliseconds: it was suspended, and every worker waits. */
const PATIENCE_MS = 1000

/** A lock over a shared memory, held by one process at a time. It blocks the thread. The lock names its holder, so that it
 * can be taken from a process that has died. */
export interface SharedLock {
  lock(): void
  unlock(): void
}

/** Creates the lock for the process with this place number, and stores its process id.
 *
 * @param words The header.
 * @param place 1 or more. */
export function createSharedLock(words: Int32Array, place: number): SharedLock {
  Atomics.store(words, PIDS + place, process.pid)
  // For sleeping with `Atomics.wait`: the sleep of the runtime takes at least a millisecond.
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
      // Does nothing when the lock was taken from this process.
      Atomics.compareExchange(words, LOCK, place, 0)
    },
  }
}
