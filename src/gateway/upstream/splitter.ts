import { createLineSplitter } from '#lib/lines.ts'
import { createSseParser } from '#lib/sse.ts'
import type { Provider, StreamEvent } from '#providers/provider.ts'

/** Takes the text of a stream apart, wherever its reads begin. */
export interface Splitter {
  push(text: string): StreamEvent[]
  /** What the end of the stream leaves unfinished. */
  end(): StreamEvent[]
  /** Whether all that came so far are whole events; false where nobody asks. */
  readonly between: boolean
}

/** Creates the splitter of one stream. */
export function createSplitter(framing: Provider['framing']): Splitter {
  if (framing === 'sse') return createSseParser()
  const lines = createLineSplitter()
  const toEvents = (found: string[]) => found.map(data => ({ name: '', data }))
  return { push: text => toEvents(lines.push(text)), end: () => toEvents(lines.end()), between: false }
}
