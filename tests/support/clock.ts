/** A clock that moves only when the test moves it. */
export interface FakeClock {
  /** Monotonic milliseconds. */
  now(): number
  /** Milliseconds since the epoch. */
  time(): number
  /** Runs something later; the answer cancels it. */
  after(ms: number, run: () => void): () => void
  /** Lets time pass, running what falls due in order, also what is set up meanwhile. */
  advance(ms: number): void
  /** Sets the wall clock forward or back; timers and `now()` do not notice. */
  jump(ms: number): void
  /** Timers that wait. */
  readonly pending: number
}

interface Timer {
  readonly due: number
  readonly run: () => void
}

/** Creates a fake clock.
 *
 * @param epoch What `time()` says at first (default 2026-01-01). */
export function fakeClock(epoch: number = Date.UTC(2026, 0, 1)): FakeClock {
  const timers = new Set<Timer>()
  let now = 0
  let offset = epoch

  return {
    now: () => now,
    time: () => offset + now,
    after(ms, run) {
      const timer = { due: now + Math.max(0, ms), run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    advance(ms) {
      const end = now + ms
      for (let next = firstDue(timers, end); next; next = firstDue(timers, end)) {
        timers.delete(next)
        now = next.due
        next.run()
      }
      now = end
    },
    jump(ms) {
      offset += ms
    },
    get pending() {
      return timers.size
    },
  }
}

/** Resolves after the work that is ready now, and what that makes ready, has run. */
export async function settled(turns = 3): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** Finds the timer to run next; of two at the same time the one set up first. */
function firstDue(timers: ReadonlySet<Timer>, end: number): Timer | undefined {
  let first: Timer | undefined
  for (const timer of timers) if (timer.due <= end && (!first || timer.due < first.due)) first = timer
  return first
}
