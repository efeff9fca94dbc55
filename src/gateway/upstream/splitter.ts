import { createLineSplitter } from '#lib/lines.ts'
import { createSseParser } from '#lib/sse.ts'
import type { Provider, StreamEvent } from '#providers/provider.ts'

/** Splits the text of a stream into events, however the reads cut it. */
export interface Splitter {
  push(text: string): StreamEvent[]
  /** Gives what the end of the stream left unfinished, if anything. */
  end(): StreamEvent[]
  /** Whether everything so far consists of whole events; false where this is not tracked. */
  readonly between: boolean
}

/** Creates the splitter of one stream. */
export function createSplitter(framing: Provider['framing']): Splitter {
  if (framing === 'sse') return createSseParser()
  const lines = createLineSplitter()
  const toEvents = (found: string[]) => found.map(data => ({ name: '', data }))
  return { push: text => toEvents(lines.push(text)), end: () => toEvents(lines.end()), between: false }
}
