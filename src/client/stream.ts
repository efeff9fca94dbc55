import { CitadelError, errorFrom, isRecord, listOf } from './errors.ts'
import type { Lifetime } from './lifetime.ts'

/** A streamed answer. It can be read once.
 *
 * Leaving the loop ends the call: the gateway stops the model server at once. */
export interface AnswerStream<T> extends AsyncIterable<T> {
  /** Ends the call; who reads it gets the error `aborted`. */
  abort(): void
}

/** What a stream is read from. */
export interface StreamSource {
  readonly response: Response
  readonly life: Lifetime
  readonly idleMs: number
}

/** Reads the events of an answer.
 *
 * Its iterator throws a `CitadelError`: what the gateway says inside of the stream, `stream_truncated` when it ends
 * without `[DONE]`, `client_timeout` for silence, `aborted`. */
export function readStream<T extends object>({ response, life, idleMs }: StreamSource): AnswerStream<T> {
  const reader = response.body?.getReader()
  const leave = () => void reader?.cancel().catch(() => {})
  let read = false
  // Node forgets the signal of a request whose answer has begun once its memory is cleaned; nobody may be reading.
  life.signal.addEventListener('abort', leave)

  async function* chunks(): AsyncGenerator<T, void> {
    let delivered = 0
    try {
      for await (const data of eventsOf(reader, life, idleMs)) {
        if (data === '[DONE]') return
        const chunk = chunkOf<T>(data, response.headers)
        delivered += charsOf(chunk)
        yield chunk
      }
      throw truncated(response, delivered)
    } catch (thrown) {
      if (life.signal.aborted) throw life.signal.reason
      throw thrown instanceof CitadelError ? thrown : truncated(response, delivered, thrown)
    } finally {
      leave()
      life.end()
    }
  }

  return {
    abort: () => life.abort(),
    [Symbol.asyncIterator]() {
      if (read) throw new TypeError('A stream can be read once.')
      read = true
      return chunks()
    },
  }
}

/** The data of each event (WHATWG HTML §9.2.6, of which the gateway uses only `data:` lines and comments). */
async function* eventsOf(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
  life: Lifetime,
  idleMs: number,
): AsyncGenerator<string, void> {
  const decoder = new TextDecoder()
  let rest = ''
  while (reader) {
    life.restart(idleMs, 'Nothing came')
    const { done, value } = await reader.read()
    life.pause()
    if (done) return
    const text = decoder.decode(value, { stream: true })
    rest += text
    // A long event comes in many pieces: what came before is not looked through for each.
    if (!text.includes('\n')) continue
    const lines = rest.split(/\r?\n/)
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('data:')) yield line.slice(5).trim()
  }
}

function chunkOf<T extends object>(data: string, headers: Headers): T {
  const failed = (cause?: unknown) =>
    new CitadelError('unexpected_answer', 'An event of the stream cannot be read.', { headers, cause })
  let value: T
  try {
    value = JSON.parse(data)
  } catch (cause) {
    throw failed(cause)
  }
  if (!isRecord(value)) throw failed()
  if ('error' in value) throw errorFrom(value, 'The stream broke off.', { headers })
  return value
}

/** The characters of all choices in a chunk of a chat or of a completion. */
function charsOf(chunk: object): number {
  let chars = 0
  for (const { delta, text } of 'choices' in chunk ? listOf(chunk.choices) : [])
    chars += (delta?.content ?? text ?? '').length
  return chars
}

function truncated({ headers }: Response, deliveredChars: number, cause?: unknown): CitadelError {
  const message = 'The stream ended before the answer was whole.'
  return new CitadelError('stream_truncated', message, { headers, deliveredChars, cause })
}
