/** Creates a timer queue with 10 ms resolution: one runtime timer serves every deadline of every request.
 *
 * Each request starts several timers, and almost none of them ever fires, so starting and cancelling must be cheap.
 * Delays over five seconds are rounded up to whole seconds, and those over an hour by up to one fiftieth. This keeps
 * the number of buckets small, because a bucket stays until its time, and callers choose times of their own. When no
 * timer was started for some ticks, the queue sleeps until the next deadline: otherwise an idle process would do little
 * else than tick a hundred times a second.
 *
 * @param now Monotonic milliseconds.
 * @returns `after(ms, run)`, which returns the function that cancels the timer. */
export function createWheel(now: () => number = () => performance.now(), tickMs = 10) {
  const buckets = new Map<number, Entry>()
  let armed = 0
  let timer: ReturnType<typeof setTimeout> | null = null
  let last = Math.floor(now() / tickMs)
  /** The timers that were started since the last tick. */
  const fresh = new Entry(NOTHING, 0)
  /** The number of ticks in a row in which no timer was started. */
  let quiet = 0
  /** The tick until which the queue sleeps; 0 = it is ticking. */
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

  /** Puts the timers that were started since the last tick into buckets. If the event loop was blocked, each of them
   * may have been started only now: they are put off by the ticks that were missed. */
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

  /** Runs the timers of a bucket in order. A timer that one of them cancels does not run. */
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
      // All timers that are left were cancelled.
      buckets.clear()
      return
    }
    // Timers without a bucket were started by timers that are due now, or after the last tick.
    if (quiet >= QUIET_TICKS && fresh.next === fresh) sleepsUntil = nextDue(buckets, last)
    timer = setTimeout(tick, sleepsUntil === 0 ? tickMs : (sleepsUntil - last) * tickMs)
    timer.unref?.()
  }

  /** Ends the sleep. */
  function wake(): void {
    clearTimeout(timer ?? undefined)
    timer = null
    quiet = 0
    // If the event loop was blocked, the timers that became due meanwhile still have to run.
    last = Math.min(Math.floor(now() / tickMs), sleepsUntil - 1)
    sleepsUntil = 0
  }

  return function after(ms: number, run: () => void): () => void {
    // While the queue is ticking, the time of the last tick is exact enough: timers that start from it fire one tick
    // later.
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
/** After how many ticks without a new timer the queue may sleep. Under load each tick has one: waking the queue for it
 * would cost more than letting it tick. */
const QUIET_TICKS = 3
/** The longest sleep: timers that are started after a blocked event loop are put off by the ticks that were slept
 * through. */
const SLEEP_TICKS_MAX = 100

/** A timer in a linked list. A bucket is a ring of timers, closed by an entry that does nothing: starting and
 * cancelling touch three objects and no table. */
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

/** Runs a timer. If it throws, the others must still run. */
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
/** The step to which delays of one to two hours are rounded up; it doubles each time the delay does. */
const HOUR_STEP_MS = 64_000

function bucketOf(tick: number, ms: number, tickMs: number): number {
  if (ms <= 5000) return tick
  const stepMs = ms < HOUR_MS ? 1000 : HOUR_STEP_MS * 2 ** Math.floor(Math.log2(ms / HOUR_MS))
  const coarse = stepMs / tickMs
  return Math.ceil(tick / coarse) * coarse
}

/** The tick in which the next bucket is due, or the last tick of the longest sleep. */
function nextDue(buckets: ReadonlyMap<number, unknown>, last: number): number {
  let next = last + SLEEP_TICKS_MAX
  for (const due of buckets.keys()) next = Math.min(next, due)
  return Math.max(next, last + 1)
}

function dueKeys(buckets: ReadonlyMap<number, unknown>, last: number, current: number): number[] {
  // After the event loop was blocked for long, looking at the existing buckets is cheaper than at every missed tick.
  if (current - last > buckets.size) return [...buckets.keys()].filter(key => key <= current).sort((a, b) => a - b)
  return Array.from({ length: current - last + 1 }, (_, index) => last + index)
}
