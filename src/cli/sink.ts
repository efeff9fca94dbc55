import { writeSync } from 'node:fs'

/** Where log lines go: standard output, without dying of a full disk or a reader that has gone. */
export function createSink(): { write(text: string): boolean } {
  return {
    write(text) {
      try {
        writeSync(1, text)
        return true
      } catch {
        return false
      }
    },
  }
}
