import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { DataFrame } from '#core/frame.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { invalidAnswer } from '../upstream-error.ts'
import { fromUsage } from './usage.ts'

type Vector = string | readonly number[]

/** Reads an embeddings answer and gives each vector the encoding that the caller asked for. */
export function fromEmbeddings(call: Call, body: string, value: JsonObject): DataFrame | GatewayError {
  if (!Array.isArray(value.data)) return invalidAnswer('embeddings without data')
  if (value.data.length !== inputsOf(call.body.input)) return invalidAnswer(`${value.data.length} embeddings`)
  const wanted = wantedEncoding(call)
  const data: JsonObject[] = []
  let changed = false
  for (const [index, item] of value.data.entries()) {
    const fitted = isObject(item) ? fitItem(item, index, wanted) : null
    if (fitted === null) return invalidAnswer('an embedding that is no vector')
    changed ||= fitted !== item
    data.push(fitted)
  }
  const ordered = inOrder(data)
  const usage = fitUsage(value.usage)
  const isWhole = !changed && ordered === data && usage === value.usage
  const text = isWhole ? body : JSON.stringify({ ...value, data: ordered, usage })
  return { kind: 'finish', text, chunk: {}, usage: fromUsage(usage, value.service_tier) }
}

/** All tokens of embeddings are those of the prompt, which strict clients look for. */
function fitUsage(usage: JsonValue): JsonValue {
  if (!isObject(usage) || typeof usage.prompt_tokens === 'number' || typeof usage.total_tokens !== 'number')
    return usage
  return { ...usage, prompt_tokens: usage.total_tokens }
}

/** The items in the order of the inputs, which clients take for granted; the same list when they are. Indexes that do
 * not give an order are ignored. */
function inOrder(data: readonly JsonObject[]): readonly JsonObject[] {
  const isOrdered = (item: JsonObject, at: number) => item.index === at
  if (data.every(isOrdered)) return data
  const sorted = data.toSorted((left, right) => Number(left.index) - Number(right.index))
  return sorted.every(isOrdered) ? sorted : data.map((item, index) => ({ ...item, index }))
}

/** Writes vectors as OpenAI lists them, in the encoding that the caller asked for.
 *
 * @param tokens The number of tokens of the prompt. */
export function toEmbeddingList(
  call: Call,
  vectors: readonly (readonly number[])[],
  { model, tokens }: { readonly model: JsonValue; readonly tokens: number },
): string {
  const wanted = wantedEncoding(call)
  const data = vectors.map((vector, index) => ({
    object: 'embedding',
    index,
    embedding: wanted === 'base64' ? toBase64Vector(vector) : vector,
  }))
  return JSON.stringify({ object: 'list', data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } })
}

function wantedEncoding(call: Call): 'float' | 'base64' {
  return call.body.encoding_format === 'base64' ? 'base64' : 'float'
}

/** How many vectors an input asks for: a list of tokens is one input, as a text is. */
export function inputsOf(input: unknown): number {
  return Array.isArray(input) && typeof input[0] !== 'number' ? input.length : 1
}

/** Writes a vector as base64 of little-endian float32. */
export function toBase64Vector(vector: readonly number[]): string {
  // Every platform that the runtime supports is little-endian.
  return Buffer.from(Float32Array.from(vector).buffer).toString('base64')
}

/** Reads a vector from base64 of little-endian float32; `null` when it is none. */
export function fromBase64Vector(text: string): readonly number[] | null {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length === 0 || bytes.length % 4 !== 0) return null
  return Array.from(new Float32Array(new Uint8Array(bytes).buffer))
}

/** One item as OpenAI writes it; the same object when nothing had to change, `null` when it holds no vector. */
function fitItem(item: JsonObject, index: number, wanted: 'float' | 'base64'): JsonObject | null {
  const embedding = fitVector(item.embedding, wanted)
  if (embedding === null) return null
  if (embedding === item.embedding && typeof item.index === 'number' && item.object === 'embedding') return item
  return { ...item, object: 'embedding', index: typeof item.index === 'number' ? item.index : index, embedding }
}

function fitVector(value: unknown, wanted: 'float' | 'base64'): Vector | null {
  if (typeof value === 'string') {
    const vector = fromBase64Vector(value)
    return wanted === 'base64' && vector !== null ? value : vector
  }
  if (!Array.isArray(value) || value.length === 0 || typeof value[0] !== 'number') return null
  return wanted === 'base64' ? toBase64Vector(value) : value
}
