import { piecesOf, type Split } from '#tests/support/splits.ts'
import { bytes, chunk, cut, flatten, head, isStep, lastChunk, type Step, type Steps } from '#tests/support/steps.ts'

/** What a stream helper takes for its body: an event, or a step to do between two events. */
export type StreamItem = string | object

/** How a stream goes over the wire. */
export interface StreamOptions {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** False: the body ends with the connection. */
  readonly chunked?: boolean
  /** Body positions at which separate reads begin; without it each event is one read. */
  readonly split?: Split | 'every-byte'
}

/** Answers with an event stream.
 *
 * @param items Events: a string is the data as it is (`[DONE]`), an object is written as JSON, a step is done in
 * its place, so that `[a, reset()]` breaks off after `a`. A string instead of a list is the exact text of the body. */
export function sse(items: string | readonly StreamItem[], options: StreamOptions = {}): Steps {
  const encode = (item: StreamItem) => `data: ${typeof item === 'string' ? item : JSON.stringify(item)}\n\n`
  return stream('text/event-stream', items, encode, options)
}

/** Answers with a stream of JSON lines; `items` as for `sse`. */
export function ndjson(items: string | readonly StreamItem[], options: StreamOptions = {}): Steps {
  const encode = (item: StreamItem) => `${typeof item === 'string' ? item : JSON.stringify(item)}\n`
  return stream('application/x-ndjson', items, encode, options)
}

/** Writes the bytes of these steps, heads and chunk sizes included, with reads beginning at other positions.
 *
 * Positions count from the first byte of the head. Only steps that write may be given, and a last `cut()`. */
export function resplit(steps: Steps, split: Split | 'every-byte'): Steps {
  const flat = flatten(steps)
  const data = Buffer.concat(flat.map(step => (step.step === 'bytes' ? step.data : Buffer.alloc(0))))
  return [...piecesOf(data, split).map(bytes), ...flat.filter(step => step.step !== 'bytes')]
}

function stream(
  contentType: string,
  items: string | readonly StreamItem[],
  encode: (item: StreamItem) => string,
  { status = 200, headers = {}, chunked = true, split }: StreamOptions,
): Steps {
  const framing: Record<string, string> = chunked ? { 'transfer-encoding': 'chunked' } : { connection: 'close' }
  const parts = typeof items === 'string' ? [items] : items.map(item => (isStep(item) ? item : encode(item)))
  const frame = chunked ? chunk : bytes
  const body = (split ? splitParts(parts, split) : parts).map(part => (isStep(part) ? part : frame(part)))
  return [head(status, { 'content-type': contentType, ...headers, ...framing }), body, chunked ? lastChunk() : cut()]
}

/** Cuts the text between two steps where the split says; positions count over the whole body. */
function splitParts(parts: readonly (string | Step)[], split: Split | 'every-byte'): (Uint8Array | Step)[] {
  const out: (Uint8Array | Step)[] = []
  let text = ''
  let start = 0
  const flush = () => {
    const positions = split === 'every-byte' ? split : split.map(position => position - start)
    if (text !== '') out.push(...piecesOf(text, positions))
    start += Buffer.byteLength(text)
    text = ''
  }
  for (const part of parts) {
    if (!isStep(part)) text += part
    else {
      flush()
      out.push(part)
    }
  }
  flush()
  return out
}
