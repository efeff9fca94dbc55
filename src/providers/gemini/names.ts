import type { JsonValue } from '#lib/json.ts'

// Names of functions begin with a letter or an underscore at Gemini; at OpenAI also with a digit or a dash. Those get a
// leading underscore, and so do names that already look like that, so that every name can be translated back.

/** The name of a function as Gemini takes it. */
export function toGeminiName(name: JsonValue): JsonValue {
  return typeof name === 'string' && /^_*[0-9-]/.test(name) ? `_${name}` : name
}

/** The name of a function as the caller gave it. */
export function fromGeminiName(name: JsonValue): JsonValue {
  return typeof name === 'string' && /^_+[0-9-]/.test(name) ? name.slice(1) : name
}
