import { totalmem } from 'node:os'

const TICK_MS = 100
/** How many ticks the percentile is taken of: the last ten seconds. */
const TICKS = 100
const PERCENTILE = 0.99
/** Memory is read at every second tick, five times a second: it takes some microseconds. */
const MEMORY_EVERY = 2
/** A collection of garbage that frees a smaller share of the memory was hardly worth its time: for so many times as long
 * as it took there is no other one, so that they do not become all that the process does. */
const WORTH_SHARE = 0.1
const REST = 9

/** What the sampler measures with; tests pass their own. */
export interface PressureOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Calls `run` every `ms` milliseconds until the returned function is called. */
  readonly every: (ms: number, run: () => void) => () => void
  /** Resident memory in bytes. */
  readonly rss: () => number
  /** Collects all garbage at once, which stops the event loop for tens of milliseconds. */
  readonly collect: () => void
  /** The share of the memory from which on garbage is collected before it counts. */
  readonly collectFrom: number
  /** The memory that the process may use, in bytes. */
  readonly limit: () => number
}

/** Measures the load of this process. */
export interface PressureSampler {
  /** The event loop's lag (99th percentile of the last ten seconds, in milliseconds), and the share of the memory limit
   * that is in use (0 to 1, or a little more). */
  read(): { readonly lagMs: number; readonly memory: number }
  /** Notes memory that will be taken at once, but is not to be seen yet. It counts until the second reading from now. */
  announce(bytes: number): void
  /** The share of the memory limit that was announced. */
  announced(): number
  /** Reads the memory again once garbage is collected; not again soon after that was of little use. */
  lookAgain(): void
  stop(): void
}

/** Starts measuring, ten times a second. It uses the 99th percentile, not the maximum, because one late turn of the event
 * loop in ten seconds is no overload. */
export function samplePressure(options: PressureOptions): PressureSampler {
  const lags = new Float64Array(TICKS)
  const rank = Math.ceil(TICKS * PERCENTILE) - 1
  let ticks = 0
  let last = options.now()
  let pressure = { lagMs: 0, memory: options.rss() / options.limit() }
  let announcedNow = 0
  let announcedBefore = 0
  let collectsAt = -Infinity

  const stop = options.every(TICK_MS, () => {
    const now = options.now()
    lags[ticks % TICKS] = Math.max(0, now - last - TICK_MS)
    last = now
    ticks++
    const isRead = ticks % MEMORY_EVERY === 0
    pressure = { lagMs: lags.toSorted()[rank] ?? 0, memory: isRead ? options.rss() / options.limit() : pressure.memory }
    if (!isRead) return
    announcedBefore = announcedNow
    announcedNow = 0
    if (pressure.memory >= options.collectFrom) lookAgain()
  })

  function lookAgain(): void {
    const begunAt = options.now()
    if (begunAt < collectsAt) return
    options.collect()
    const endedAt = options.now()
    // No sign of too many calls: on a large heap, two of them would have those of low priority refused.
    last += endedAt - begunAt
    const memory = options.rss() / options.limit()
    if (pressure.memory - memory < WORTH_SHARE) collectsAt = endedAt + REST * (endedAt - begunAt)
    pressure = { ...pressure, memory }
  }

  return {
    read: () => pressure,
    lookAgain,
    announce(bytes) {
      announcedNow += bytes
    },
    announced: () => (announcedNow + announcedBefore) / options.limit(),
    stop,
  }
}

/** The memory that this process may use, in bytes: its container's limit, else the machine's memory. */
export function memoryOfProcess(): number {
  const allowed = process.constrainedMemory()
  return allowed > 0 ? Math.min(allowed, totalmem()) : totalmem()
}

/** `setInterval` that does not keep the process alive. The returned function ends it. */
export function unheldInterval(ms: number, run: () => void): () => void {
  const timer = setInterval(run, ms)
  timer.unref()
  return () => clearInterval(timer)
}
