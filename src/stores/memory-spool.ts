import type { Spool } from '#core/ledger.ts'

/** Creates a spool in memory, for when there is no folder for it: what waits is lost when the process ends. */
export function createMemorySpool<T>(linesMax: number): Spool<T> {
  let waiting: T[] = []
  return {
    append(_, said) {
      if (waiting.length >= linesMax) return false
      if (said !== null) waiting.push(said)
      return true
    },
    peek: async max => waiting.slice(0, max),
    async drop(count) {
      waiting = waiting.slice(count)
    },
    close: async () => waiting,
  }
}
