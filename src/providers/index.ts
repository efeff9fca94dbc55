import { anthropic } from './anthropic/index.ts'
import { deepseek } from './deepseek/index.ts'
import { demo } from './demo/index.ts'
import { gemini } from './gemini/index.ts'
import { ollama } from './ollama/index.ts'
import { openai } from './openai/index.ts'
import { openaiCompatible } from './openai_compatible/index.ts'
import type { Provider } from './provider.ts'

/** Every dialect, by the `kind` of a server. A new provider is a folder and a line here. */
export const PROVIDERS: ReadonlyMap<string, Provider> = new Map(
  [openai, openaiCompatible, anthropic, gemini, deepseek, ollama, demo].map(provider => [provider.name, provider]),
)

/** The headers of callers that some dialect passes on. */
export const PASSED_HEADERS: readonly string[] = [
  ...new Set([...PROVIDERS.values()].flatMap(provider => provider.headers ?? [])),
]

/** The kind of the built-in model. */
export const BUILT_IN_KIND = demo.name

/** The kind that has a counter of its own, which organisations watch. */
export const OLLAMA_KIND = ollama.name

/** The kind of a server that registers itself and does not say which it is. */
export const COMPATIBLE_KIND = openaiCompatible.name
