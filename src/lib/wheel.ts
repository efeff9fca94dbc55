/** Creates a timer queue with 10 ms resolution: one runtime timer serves every deadline of every request.
 *
 * Each request arms several clocks and almost none of them ever fires, so arming and cancelling are what must be
 * cheap. Delays over five seconds are rounded up to whole seconds, which keeps the number of buckets small.
 *
 * @param now Monotonic milliseconds.
 * @returns `after(ms, run)`, which answers with the function that takes the timer back. */
export function createWheel(now: () => number = () => performance.now(), tickMs = 10) {
  const buckets = new Map<number, Set<{ readonly run: () => void }>>()
  let timer: ReturnType<typeof setTimeout> | null = null
  let last = Math.floor(now() / tickMs)

  function tick(): void {
    timer = null
    const current = Math.floor(now() / tickMs)
    for (const due of dueKeys(buckets, last, current)) {
      const bucket = buckets.get(due)
      buckets.delete(due)
      if (bucket !== undefined) for (const entry of bucket) runAlone(entry.run)
    }
    last = current
    schedule()
  }

  function schedule(): void {
    if (timer !== null || buckets.size === 0) return
    timer = setTimeout(tick, tickMs)
    timer.unref?.()
  }

  return function after(ms: number, run: () => void): () => void {
    // While the wheel turns, its last tick tells the time well enough: what is counted from it comes a tick later.
    if (buckets.size === 0) last = Math.floor(now() / tickMs)
    const due = bucketOf(last + 1 + Math.ceil(ms / tickMs), ms, tickMs)
    const entry = { run }
    const bucket = buckets.get(due)
    if (bucket === undefined) buckets.set(due, new Set([entry]))
    else bucket.add(entry)
    schedule()
    return () => {
      const held = buckets.get(due)
      if (held?.delete(entry) && held.size === 0) buckets.delete(due)
    }
  }
}

/** Runs what is due; that one fails must not cost the others their time. */
function runAlone(run: () => void): void {
  try {
    run()
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown
    })
  }
}

function bucketOf(tick: number, ms: number, tickMs: number): number {
  const coarse = 1000 / tickMs
  return ms > 5000 ? Math.ceil(tick / coarse) * coarse : tick
}

function dueKeys(buckets: ReadonlyMap<number, unknown>, last: number, current: number): number[] {
  // After a long block of the loop it is cheaper to look at the buckets that exist than at every missed tick.
  if (current - last > buckets.size) return [...buckets.keys()].filter(key => key <= current).sort((a, b) => a - b)
  return Array.from({ length: current - last + 1 }, (_, index) => last + index)
}
