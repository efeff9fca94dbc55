import { chatEvents } from '#tests/support/openai-upstream.ts'
import type { StreamItem } from '#tests/support/upstream.ts'

/** All that a stream gives. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const seen: T[] = []
  await each(items, item => seen.push(item))
  return seen
}

/** Sees what a stream gives, also when it then breaks off. */
export async function each<T>(items: AsyncIterable<T>, see: (item: T) => void): Promise<void> {
  for await (const item of items) see(item)
}

/** A chunk with this delta. */
export function delta(part: object): StreamItem {
  const choices = [{ index: 0, delta: part, finish_reason: null }]
  return { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices }
}

/** A stream around these deltas: the role before, the finish and `[DONE]` behind. */
export function streamOf(deltas: readonly StreamItem[], finishReason = 'stop'): StreamItem[] {
  const [role = '', ...rest] = chatEvents('m', { deltas: [], finishReason })
  return [role, ...deltas, ...rest]
}
