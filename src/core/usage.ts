/** Tokens of one answer as disjoint classes, so that nothing is ever counted twice. */
export interface Usage {
  /** Prompt tokens that were neither read from nor written to a prompt cache. */
  readonly input: number
  readonly cacheRead: number
  readonly cacheWrite: number
  /** All output tokens; `reasoning` is a part of them. */
  readonly output: number
  readonly reasoning: number
  /** True when the gateway counted because the server did not say. */
  readonly estimated: boolean
}

/** More than any answer has, and little enough that databases hold what it costs, and sums of it. */
export const TOKENS_MAX = 1e9

/** A number of tokens as a server says it; 0 for what is none. */
export function tokenCount(value: unknown): number {
  return typeof value === 'number' && value > 0 && value <= TOKENS_MAX ? Math.round(value) : 0
}

/** The characters of a prompt and of the tools that models read with it, wherever the body of a call keeps them; what is
 * no text counts as none. */
export function promptLength(body: { readonly [key: string]: unknown }): number {
  const prompt = textLength(body.messages ?? body.prompt ?? body.input)
  // Tools have an older form.
  return prompt + textLength(body.tools) + textLength(body.functions)
}

function textLength(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value === 'number') return 4
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + textLength(item), 0)
  if (typeof value !== 'object' || value === null) return 0
  let length = 0
  for (const [key, item] of Object.entries(value)) {
    if (!NO_TEXTS.has(key) && !(MEDIA.has(key) && isInline(item))) length += textLength(item)
  }
  return length
}

/** What says how to read a part, and sound, which stands in Base64 and nothing else. */
const NO_TEXTS: ReadonlySet<string> = new Set(['role', 'type', 'input_audio'])

/** Where pictures and files stand. Elsewhere what begins like one is a text. */
const MEDIA: ReadonlySet<string> = new Set(['url', 'image_url', 'file_data'])

function isInline(value: unknown): boolean {
  return typeof value === 'string' && value.startsWith('data:')
}

/** Characters a token has on average; used only where no server counts. */
const CHARACTERS_PER_TOKEN = 3.6

/** Estimates the tokens of a text from its length, marked as such by the caller. */
export function estimateTokens(characters: number): number {
  return Math.ceil(characters / CHARACTERS_PER_TOKEN)
}

/** All tokens of a prompt, however it was read; 0 where nothing was counted. */
export function inputTokens(usage: Usage | null): number {
  return usage === null ? 0 : usage.input + usage.cacheRead + usage.cacheWrite
}
