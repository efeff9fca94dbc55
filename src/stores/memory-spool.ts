import type { Spool } from '#core/ledger.ts'

/** Keeps lines in memory, where there is no folder for them: they are lost with the process. */
export function createMemorySpool(linesMax: number): Spool {
  let lines: string[] = []
  return {
    append(line) {
      if (lines.length >= linesMax) return false
      lines.push(line)
      return true
    },
    peek: async max => lines.slice(0, max),
    async drop(count) {
      lines = lines.slice(count)
    },
    async close() {},
  }
}
