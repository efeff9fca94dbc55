import type { Clock } from '#core/clock.ts'
import { ERRORS } from '#core/errors.ts'
import type { Fact } from '#core/journal.ts'

/** Counts requests and failures of about the last minute. */
export interface Failures {
  subscriber(fact: Fact): void
  /** `all`: model calls, and other requests that failed; `failed`: those where the gateway or a model server is at
   * fault. Errors of callers are not counted as failures. */
  read(): { readonly all: number; readonly failed: number }
}

const CELLS = 60
const CELL_MS = 1000

/** Creates the counts: one cell for each of the last 60 seconds. */
export function createFailures(clock: Pick<Clock, 'now'>): Failures {
  const all = new Uint32Array(CELLS)
  const failed = new Uint32Array(CELLS)
  let second = 0

  /** Moves on to the current second, and empties the cells of the seconds that have passed since the last call.
   *
   * @returns The index of the current cell. */
  function turn(): number {
    const now = Math.floor(clock.now() / CELL_MS)
    for (let passed = Math.max(second + 1, now - CELLS + 1); passed <= now; passed++) {
      all[passed % CELLS] = 0
      failed[passed % CELLS] = 0
    }
    second = Math.max(second, now)
    return second % CELLS
  }

  return {
    subscriber(fact) {
      if (fact.type !== 'request-settled') return
      const { code, model } = fact.record
      const fault = code === null ? null : ERRORS[code].fault
      const bad = fault === 'upstream' || fault === 'gateway'
      if (model === null && !bad) return
      const cell = turn()
      all[cell] = (all[cell] ?? 0) + 1
      if (bad) failed[cell] = (failed[cell] ?? 0) + 1
    },
    read() {
      turn()
      return { all: sumOf(all), failed: sumOf(failed) }
    },
  }
}

function sumOf(cells: Uint32Array): number {
  return cells.reduce((sum, cell) => sum + cell, 0)
}
