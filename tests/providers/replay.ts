import type { Call } from '#core/call.ts'
import type { DataFrame, Frame } from '#core/frame.ts'
import { createLineSplitter } from '#lib/lines.ts'
import { createSseParser } from '#lib/sse.ts'
import { inputsOf } from '#providers/openai_compatible/embedding.ts'
import type { Provider, StreamEvent } from '#providers/provider.ts'
import { call } from '#tests/support/calls.ts'
import type { RecordedCase } from '#tests/support/recorded.ts'
import { piecesOf, type Split } from '#tests/support/splits.ts'

/** What became of a stream. */
export interface Replay {
  readonly frames: readonly Frame[]
  /** Events that the reducer could not read. */
  readonly skipped: number
}

/** Feeds a stream to a provider as the gateway does: bytes, text, events, frames. */
export function replay(provider: Provider, asked: Call, body: string, split: Split | 'every-byte' = []): Replay {
  const decoder = new TextDecoder()
  const splitter = provider.framing === 'sse' ? createSseParser() : linesAsEvents()
  const reducer = provider.stream(asked)
  const frames: Frame[] = []
  let state = reducer.start()
  let skipped = 0
  const take = (events: readonly StreamEvent[]) => {
    for (const event of events) {
      try {
        const [next, produced] = reducer.step(state, event)
        state = next
        frames.push(...produced)
      } catch {
        skipped++
      }
    }
  }
  for (const piece of piecesOf(body, split)) take(splitter.push(decoder.decode(piece, { stream: true })))
  take(splitter.end())
  frames.push(...reducer.end(state))
  return { frames, skipped }
}

/** The call that a recorded request was. */
export function callOf(recorded: RecordedCase, more: Partial<Call> = {}): Call {
  const body = { ...(recorded.request as Call['body'] | null), ...more.body }
  return call({
    endpoint: endpointOf(recorded),
    stream: recorded.streamed,
    wantsUsage: false,
    ...more,
    body,
    source: JSON.stringify(body),
  })
}

export function endpointOf(recorded: RecordedCase): Call['endpoint'] {
  if (/(?:\/embeddings|\/embed|:batchEmbedContents)$/.test(path(recorded))) return 'embeddings'
  return /(?:\/chat\/completions|\/api\/chat|[gG]enerateContent)$/.test(path(recorded)) ? 'chat' : 'completions'
}

/** Whether a recorded case is one of the endpoints that the gateway calls. */
export function isModelCall(recorded: RecordedCase): boolean {
  return /(?:\/completions|\/embeddings|\/embed|\/api\/chat|\/api\/generate|[gG]enerateContent|:batchEmbedContents)$/.test(
    path(recorded),
  )
}

/** How many texts a recorded request for vectors has. */
export function inputsIn(recorded: RecordedCase): number {
  return inputsOf(callOf(recorded).body.input)
}

/** What a caller who did not ask for usage receives. */
export function textsOf(frames: readonly Frame[], usage = false): string[] {
  return dataFrames(frames)
    .filter(frame => usage || frame.kind !== 'usage')
    .map(frame => frame.text)
}

export function dataFrames(frames: readonly Frame[]): DataFrame[] {
  return frames.filter(frame => frame.kind !== 'error')
}

/** Everything that a stream became, to compare with another run. */
export function resultOf({ frames, skipped }: Replay): string {
  return JSON.stringify([
    skipped,
    frames.map(frame => (frame.kind === 'error' ? [frame.error.code, frame.error.message] : frame)),
  ])
}

/** The text of an answer, put together from its frames: content of the first choice. */
export function contentOf(frames: readonly Frame[]): string {
  return dataFrames(frames)
    .flatMap(frame => frame.chunk.choices ?? [])
    .map(choice => choice.text ?? choice.delta?.content ?? '')
    .join('')
}

function path(recorded: RecordedCase): string {
  return (recorded.endpoint.split(' ')[1] ?? '').split('?')[0] ?? ''
}

function linesAsEvents() {
  const lines = createLineSplitter()
  const toEvents = (found: readonly string[]) => found.map(data => ({ name: '', data }))
  return { push: (text: string) => toEvents(lines.push(text)), end: () => toEvents(lines.end()) }
}
