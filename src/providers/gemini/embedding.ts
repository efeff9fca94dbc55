import type { Call } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { DataFrame } from '#core/frame.ts'
import { estimateTokens, type Usage } from '#core/usage.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { toEmbeddingList } from '../openai_compatible/embedding.ts'
import { refuse } from '../unsupported.ts'
import { invalidAnswer } from '../upstream-error.ts'
import { fromGeminiUsage } from './usage.ts'

/** The most texts that Gemini embeds in one request. */
const INPUTS_MAX = 100

/** Builds a request for embeddings: always a batch, because one of one text is the same.
 *
 * @param model The resource name of the model, which each part of a batch repeats.
 * @throws GatewayError `unsupported_parameter` for tokens, and for too many texts. */
export function toGeminiEmbeddings(body: JsonObject, model: string): JsonObject {
  const requests = textsOf(body.input).map(text => ({
    model,
    content: { parts: [{ text }] },
    taskType: body.task_type ?? undefined,
    outputDimensionality: body.dimensions ?? undefined,
  }))
  if (requests.length > INPUTS_MAX)
    throw refuse('input', `more than ${INPUTS_MAX} inputs at once`, 'send several requests')
  return { requests }
}

/** Reads the vectors. Gemini does not always count what it embeds; the count is then estimated from the texts. */
export function fromGeminiEmbeddings(call: Call, answer: JsonObject): DataFrame | GatewayError {
  const vectors = Array.isArray(answer.embeddings) ? answer.embeddings.filter(isObject).map(each => each.values) : []
  const texts = textsOf(call.body.input)
  if (vectors.length !== texts.length || !vectors.every(isVector))
    return invalidAnswer('an answer without the embeddings')
  const usage = fromGeminiUsage(answer.usageMetadata) ?? estimateOf(texts)
  const about = { model: call.body.model ?? '', tokens: usage.input + usage.cacheRead }
  const text = toEmbeddingList(call, vectors, about)
  return { kind: 'finish', text, chunk: {}, usage }
}

function textsOf(input: JsonValue): readonly string[] {
  const items = Array.isArray(input) ? input : [input]
  return items.map(item => {
    if (typeof item === 'string') return item
    const instead = 'send text instead; LangChain does with check_embedding_ctx_length=False'
    throw refuse('input', 'inputs given as tokens', instead)
  })
}

function estimateOf(texts: readonly string[]): Usage {
  const input = estimateTokens(texts.reduce((sum, text) => sum + text.length, 0))
  return { input, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0, estimated: true }
}

function isVector(values: JsonValue): values is readonly number[] {
  return Array.isArray(values) && values.length > 0 && typeof values[0] === 'number'
}
