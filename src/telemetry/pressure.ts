import { totalmem } from 'node:os'

const TICK_MS = 100
/** Ticks that the percentile is taken of: the last ten seconds. */
const TICKS = 100
const PERCENTILE = 0.99
/** Memory is read at each so many-th tick. */
const MEMORY_EVERY = 10

/** What the sampler measures with; a test hands in its own. */
export interface PressureOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Runs something again and again; the answer stops it. */
  readonly every: (ms: number, run: () => void) => () => void
  /** Resident memory in bytes. */
  readonly rss: () => number
  /** What the process may use, in bytes. */
  readonly limit: () => number
}

/** Measures how hard the process has it. */
export interface PressureSampler {
  read(): { readonly lagMs: number; readonly memory: number }
  stop(): void
}

/** Starts to measure, ten times a second. One late turn in ten seconds is no overload, and does not count. */
export function samplePressure(options: PressureOptions): PressureSampler {
  const lags = new Float64Array(TICKS)
  const rank = Math.ceil(TICKS * PERCENTILE) - 1
  let ticks = 0
  let last = options.now()
  let pressure = { lagMs: 0, memory: options.rss() / options.limit() }

  const stop = options.every(TICK_MS, () => {
    const now = options.now()
    lags[ticks % TICKS] = Math.max(0, now - last - TICK_MS)
    last = now
    ticks++
    const memory = ticks % MEMORY_EVERY === 0 ? options.rss() / options.limit() : pressure.memory
    pressure = { lagMs: lags.toSorted()[rank] ?? 0, memory }
  })

  return { read: () => pressure, stop }
}

/** What this process may use: what its container allows, else what the machine has. */
export function memoryOfProcess(): number {
  const allowed = process.constrainedMemory()
  return allowed > 0 ? Math.min(allowed, totalmem()) : totalmem()
}

/** Runs something again and again without keeping the process alive. */
export function unheldInterval(ms: number, run: () => void): () => void {
  const timer = setInterval(run, ms)
  timer.unref()
  return () => clearInterval(timer)
}
