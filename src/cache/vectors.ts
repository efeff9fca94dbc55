import type { Usage } from '#core/usage.ts'
import { isObject, type JsonValue, parseJson } from '#lib/json.ts'

/** The inputs of an embeddings request, each for itself: one list of tokens is one input, as one text is. */
export function inputsOf(input: JsonValue): readonly JsonValue[] {
  return Array.isArray(input) && typeof input[0] !== 'number' ? input : [input]
}

/** The vectors of an answer as JSON texts, in the order of the inputs; `null` unless there are as many as were asked
 * for. */
export function vectorsIn(body: string, expected: number): readonly string[] | null {
  const answer = parseJson(body)
  const data = isObject(answer) && Array.isArray(answer.data) ? answer.data.filter(isObject) : []
  const byIndex = new Map(data.map((item, at) => [typeof item.index === 'number' ? item.index : at, item.embedding]))
  const vectors: string[] = []
  for (let at = 0; at < expected; at++) {
    const vector = byIndex.get(at)
    if (vector === undefined || vector === null) return null
    vectors.push(JSON.stringify(vector))
  }
  return byIndex.size === expected ? vectors : null
}

/** Writes an embeddings answer around vectors that are JSON texts.
 *
 * @param tokens Tokens of all inputs. */
export function writeVectors(vectors: readonly string[], model: string, tokens: number): string {
  const data = vectors.map((vector, index) => `{"object":"embedding","index":${index},"embedding":${vector}}`)
  const usage = `{"prompt_tokens":${tokens},"total_tokens":${tokens}}`
  return `{"object":"list","data":[${data.join(',')}],"model":${JSON.stringify(model)},"usage":${usage}}`
}

/** Shares the tokens of a batch out over its inputs by their length, so that the parts add up to the whole. */
export function shareUsage(usage: Usage, inputs: readonly JsonValue[]): readonly Usage[] {
  if (inputs.length === 1) return [usage]
  const lengths = inputs.map(input =>
    typeof input === 'string' || Array.isArray(input) ? Math.max(1, input.length) : 1,
  )
  const all = lengths.reduce((sum, length) => sum + length, 0)
  const total = usage.input + usage.cacheRead + usage.cacheWrite
  let upTo = 0
  let given = 0
  return lengths.map(length => {
    upTo += length
    const input = Math.round((total * upTo) / all) - given
    given += input
    return { input, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0, estimated: true }
  })
}
