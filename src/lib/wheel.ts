/** Creates a timer queue with 10 ms resolution: one runtime timer serves every deadline of every request.
 *
 * Each request arms several clocks and almost none of them ever fires, so arming and cancelling are what must be
 * cheap. Delays over five seconds are rounded up to whole seconds, and those over an hour by a part in fifty, which keeps
 * the number of buckets small: a bucket stays until its time, and callers choose times of their own. Once nobody
 * arms anything it sleeps until the next deadline: to turn a hundred times a second is what a process at rest would do most.
 *
 * @param now Monotonic milliseconds.
 * @returns `after(ms, run)`, which answers with the function that takes the timer back. */
export function createWheel(now: () => number = () => performance.now(), tickMs = 10) {
  const buckets = new Map<number, Entry>()
  let armed = 0
  let timer: ReturnType<typeof setTimeout> | null = null
  let last = Math.floor(now() / tickMs)
  /** What was armed since the last tick. */
  const fresh = new Entry(NOTHING, 0)
  /** Ticks in a row before which nothing was armed. */
  let quiet = 0
  /** The tick until which it sleeps; 0 = it turns. */
  let sleepsUntil = 0

  function tick(): void {
    const current = Math.floor(now() / tickMs)
    quiet = fresh.next === fresh ? quiet + 1 : 0
    sleepsUntil = 0
    sortFresh(current - last > 1 ? current - last : 0)
    const keys = dueKeys(buckets, last, current)
    last = current
    for (const due of keys) {
      const bucket = buckets.get(due)
      buckets.delete(due)
      if (bucket !== undefined) runAll(bucket)
    }
    timer = null
    schedule()
  }

  /** Gives what was armed since the last tick its buckets. Behind a block of the loop each may have been armed only now:
   * they are put off by the ticks that were missed. */
  function sortFresh(missed: number): void {
    while (fresh.next !== fresh) {
      const entry = fresh.next
      entry.unlink()
      put(entry, bucketOf(last + 1 + missed + Math.ceil(entry.ms / tickMs), entry.ms, tickMs))
    }
  }

  function put(entry: Entry, due: number): void {
    let bucket = buckets.get(due)
    if (bucket === undefined) {
      bucket = new Entry(NOTHING, 0)
      buckets.set(due, bucket)
    }
    entry.linkBefore(bucket)
  }

  /** Runs what is in a bucket, in order; what one of them cancels does not run any more. */
  function runAll(bucket: Entry): void {
    while (bucket.next !== bucket) {
      const { run } = bucket.next
      cancel(bucket.next)
      runAlone(run)
    }
  }

  function cancel(entry: Entry): void {
    if (!entry.linked) return
    entry.unlink()
    armed--
  }

  function schedule(): void {
    if (timer !== null) return
    if (armed === 0) {
      // Nothing is left but what was cancelled.
      buckets.clear()
      return
    }
    // What has no bucket yet was armed by what is due, or behind the last one.
    if (quiet >= QUIET_TICKS && fresh.next === fresh) sleepsUntil = nextDue(buckets, last)
    timer = setTimeout(tick, sleepsUntil === 0 ? tickMs : (sleepsUntil - last) * tickMs)
    timer.unref?.()
  }

  /** Lets it turn again. */
  function wake(): void {
    clearTimeout(timer ?? undefined)
    timer = null
    quiet = 0
    // Behind a block of the loop, what became due meanwhile is still to run.
    last = Math.min(Math.floor(now() / tickMs), sleepsUntil - 1)
    sleepsUntil = 0
  }

  return function after(ms: number, run: () => void): () => void {
    // While the wheel turns, its last tick tells the time well enough: what is counted from it comes a tick later.
    if (timer === null) last = Math.floor(now() / tickMs)
    else if (sleepsUntil !== 0) wake()
    const entry = new Entry(run, ms)
    entry.linkBefore(fresh)
    armed++
    schedule()
    return () => cancel(entry)
  }
}

const NOTHING = () => {}
/** Under load something is armed in each tick: to wake the wheel for it would cost more than to let it turn. */
const QUIET_TICKS = 3
/** However long nothing is due: what is armed behind a block of the loop is put off by the ticks that were slept through. */
const SLEEP_TICKS_MAX = 100

/** A timer between its neighbours. A bucket is a ring of them, closed by an entry that does nothing: arming and
 * cancelling touch three objects, and no table. */
class Entry {
  readonly run: () => void
  readonly ms: number
  next: Entry = this
  private previous: Entry = this

  constructor(run: () => void, ms: number) {
    this.run = run
    this.ms = ms
  }

  get linked(): boolean {
    return this.next !== this
  }

  linkBefore(other: Entry): void {
    this.next = other
    this.previous = other.previous
    other.previous.next = this
    other.previous = this
  }

  unlink(): void {
    this.previous.next = this.next
    this.next.previous = this.previous
    this.next = this
    this.previous = this
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

const HOUR_MS = 3_600_000
/** What delays of one to two hours are rounded up to; twice as much for each doubling. */
const HOUR_STEP_MS = 64_000

function bucketOf(tick: number, ms: number, tickMs: number): number {
  if (ms <= 5000) return tick
  const stepMs = ms < HOUR_MS ? 1000 : HOUR_STEP_MS * 2 ** Math.floor(Math.log2(ms / HOUR_MS))
  const coarse = stepMs / tickMs
  return Math.ceil(tick / coarse) * coarse
}

/** The tick in which the next bucket is due, or the last one that it may sleep to. */
function nextDue(buckets: ReadonlyMap<number, unknown>, last: number): number {
  let next = last + SLEEP_TICKS_MAX
  for (const due of buckets.keys()) next = Math.min(next, due)
  return Math.max(next, last + 1)
}

function dueKeys(buckets: ReadonlyMap<number, unknown>, last: number, current: number): number[] {
  // After a long block of the loop it is cheaper to look at the buckets that exist than at every missed tick.
  if (current - last > buckets.size) return [...buckets.keys()].filter(key => key <= current).sort((a, b) => a - b)
  return Array.from({ length: current - last + 1 }, (_, index) => last + index)
}
