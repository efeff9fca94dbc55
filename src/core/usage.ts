/** What changes the price of all tokens of an answer; absent where nobody says so. */
export interface Served {
  /** The tier of service, such as `flex` or `priority`; `default` for the usual one. */
  readonly serviceTier?: string
  /** Where the model ran, where that has a price. */
  readonly inferenceGeo?: string
}

/** Tokens of one answer as disjoint classes, so that nothing is ever counted twice. */
export interface Usage extends Served {
  /** Prompt tokens that were neither read from nor written to a prompt cache. */
  readonly input: number
  readonly cacheRead: number
  readonly cacheWrite: number
  /** All output tokens; `reasoning` is a part of them. */
  readonly output: number
  readonly reasoning: number
  /** True when the gateway counted because the server did not say. */
  readonly estimated: boolean
  /** Absent where there are none. */
  readonly parts?: UsageParts
  /** What other models of the server took for the answer, each a part of all of this; absent where there was none. */
  readonly besides?: readonly Beside[]
}

/** Where nothing is counted yet. */
export const UNCOUNTED: Usage = { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0, estimated: true }

/** What another model took, by the name that the server has for it. */
export interface Beside {
  readonly model: string
  readonly usage: Usage
}

/** Parts of these classes that may have a price of their own, and what is counted besides tokens. */
export interface UsageParts {
  /** Of `input`, of `cacheRead` and of `output`. */
  readonly audioInput: number
  readonly audioCacheRead: number
  readonly audioOutput: number
  /** Of `cacheWrite`: what is kept for an hour instead of minutes. */
  readonly cacheWriteHour: number
  /** Searches of the web that the provider made. */
  readonly searches: number
}

export const NO_PARTS: UsageParts = { audioInput: 0, audioCacheRead: 0, audioOutput: 0, cacheWriteHour: 0, searches: 0 }

/** Adds parts to a count; one that has none stays as it is. */
export function withParts(usage: Usage, found: Partial<UsageParts>): Usage {
  return Object.values(found).some(count => count > 0) ? { ...usage, parts: { ...NO_PARTS, ...found } } : usage
}

/** More than any answer has, and little enough that databases hold what it costs, and sums of it. */
export const TOKENS_MAX = 1e9

/** The same for searches, each of which costs more than a token. */
export const SEARCHES_MAX = 1e6

/** A number of tokens as a server says it; 0 for what is none. */
export function tokenCount(value: unknown): number {
  return typeof value === 'number' && value > 0 && value <= TOKENS_MAX ? Math.round(value) : 0
}

/** Where a body keeps what a model reads. All of it counts, also what an endpoint has no use for: whoever adds an empty
 * list of messages to a prompt must not have it counted instead. Tools have an older form. */
const READ = ['messages', 'prompt', 'suffix', 'input', 'tools', 'functions'] as const

/** The characters of a prompt and of the tools that models read with it, wherever the body of a call keeps them; what is
 * no text counts as none. */
export function promptLength(body: { readonly [key: string]: unknown }): number {
  let length = 0
  for (const name of READ) length += textLength(body[name])
  return length
}

/** No role, and no name of a type, is longer: what is, is a prompt. */
const WORD_MAX = 32

function textLength(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value === 'number') return 4
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + textLength(item), 0)
  if (typeof value !== 'object' || value === null) return 0
  let length = 0
  for (const [key, item] of Object.entries(value)) {
    const isWord = (key === 'role' || key === 'type') && typeof item === 'string' && item.length <= WORD_MAX
    if (!isWord && !isMedium(key, item)) length += textLength(item)
  }
  return length
}

/** Where pictures and files stand. Elsewhere what begins like one is a text. */
const MEDIA: ReadonlySet<string> = new Set(['url', 'image_url', 'file_data'])
const BASE64 = /^[\w+/=-]*$/

/** Whether a member is a picture, a file or a recording, of which no character is read. */
function isMedium(key: string, value: unknown): boolean {
  if (key === 'input_audio') return isSound(value)
  return MEDIA.has(key) && typeof value === 'string' && value.startsWith('data:')
}

function isSound(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('data' in value)) return false
  const { data, ...rest } = value
  return typeof data === 'string' && BASE64.test(data) && textLength(rest) <= WORD_MAX
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
