import { isObject, type JsonObject } from '#lib/json.ts'

// Thought signatures travel in the form that Google's own OpenAI-compatible endpoint gave them, on a message or a call.

/** The thought signature that a message or tool call carries. */
export function signatureOf({ extra_content: extra }: JsonObject): string | undefined {
  const google = isObject(extra) ? extra.google : undefined
  const signature = isObject(google) ? google.thought_signature : undefined
  return typeof signature === 'string' && signature !== '' ? signature : undefined
}

/** The members that carry a thought signature to the caller; empty without a signature. */
export function withSignature(signature: unknown): JsonObject {
  if (typeof signature !== 'string' || signature === '') return {}
  return { extra_content: { google: { thought_signature: signature } } }
}
