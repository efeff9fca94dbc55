import { sha256 } from '#lib/hash.ts'
import type { JsonObject } from '#lib/json.ts'

/** Whether an answer or chunk begins as OpenAI's do; asked of every chunk. */
export function isUsualHead({ id, object, created, model }: JsonObject, expected: string): boolean {
  return (
    object === expected &&
    typeof id === 'string' &&
    id !== '' &&
    typeof created === 'number' &&
    typeof model === 'string'
  )
}

/** Completes the head of an answer or chunk: Perplexity ends with another `object`, TGI has an empty id.
 *
 * @param known The head of the chunks before it; its id and time are kept.
 * @returns The same object when nothing had to change. */
export function fitHead(chunk: JsonObject, object: string, known: JsonObject | null = null): JsonObject {
  if (isUsualHead(chunk, object)) return chunk
  const created = typeof chunk.created === 'number' ? chunk.created : (known?.created ?? 0)
  const model = typeof chunk.model === 'string' ? chunk.model : (known?.model ?? '')
  const id = typeof chunk.id === 'string' && chunk.id !== '' ? chunk.id : (known?.id ?? answerId(chunk, object))
  return { ...chunk, id, object, created, model }
}

/** The text from which ids are made where the server gives none, so that the same answer always gets the same ids. */
export function seedOf({ id, created }: JsonObject): string {
  return `${id}${created}`
}

function answerId(chunk: JsonObject, object: string): string {
  const prefix = object.startsWith('chat') ? 'chatcmpl' : 'cmpl'
  return `${prefix}-${sha256(JSON.stringify(chunk)).slice(0, 24)}`
}
