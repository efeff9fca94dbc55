import type { Clock } from '#core/clock.ts'

const FLUSH_MS = 100
/** The buffer is written once it has so many characters. Larger texts are slower: each gets memory of its own, which the
 * system has to allocate and clear. */
const BUFFER_CHARACTERS = 16 * 1024

/** Buffers log lines and writes many at a time: one write for each request would cost more than making its line. */
export interface Sink {
  /** Adds a line, which is written within 100 ms. */
  add(line: string): void
  flush(): void
  close(): void
  /** Lines that could not be written. */
  readonly dropped: number
}

/** Creates a sink.
 *
 * @param write May throw. The lines are then lost and counted in `dropped`: a full disk must not stop the gateway. */
export function createSink(write: (text: string) => void, clock: Clock): Sink {
  let buffer = ''
  let lines = 0
  let dropped = 0
  let disarm: (() => void) | null = null

  function flush(): void {
    disarm?.()
    disarm = null
    if (lines === 0) return
    const text = buffer
    const count = lines
    buffer = ''
    lines = 0
    try {
      write(text)
    } catch {
      dropped += count
    }
  }

  return {
    flush,
    close: flush,
    add(line) {
      buffer += line
      buffer += '\n'
      lines++
      if (buffer.length >= BUFFER_CHARACTERS) flush()
      else disarm ??= clock.after(FLUSH_MS, flush)
    },
    get dropped() {
      return dropped
    },
  }
}
