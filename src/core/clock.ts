import { createWheel } from '#lib/wheel.ts'

/** Time as the gateway reads it; a test hands in one that it moves by hand. */
export interface Clock {
  /** Monotonic milliseconds: for every duration and deadline. */
  now(): number
  /** Milliseconds since 1970: for what people and other programs read. */
  time(): number
  /** Runs `run` once after `ms`; the returned function takes it back. */
  after(ms: number, run: () => void): () => void
}

/** The time of this machine. */
export function systemClock(): Clock {
  return { now: () => performance.now(), time: () => Date.now(), after: createWheel() }
}
