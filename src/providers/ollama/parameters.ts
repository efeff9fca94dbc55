import type { Endpoint } from '#core/call.ts'
import { OPENAI_PARAMETERS, type Parameter, type Parameters } from '../parameters.ts'
import { refusedParameters } from '../unsupported.ts'
import { OPTIONS } from './options.ts'
import { UNSUPPORTED } from './unsupported.ts'

const inOptions = Object.fromEntries(
  Object.entries(OPTIONS).map(([name, to]) => [name, { treatment: 'renamed', to: `options.${to}` } as const]),
)
const COUNTED = {
  treatment: 'converted',
  note: 'every answer is counted; the count goes to callers who asked',
} as const
const STOP = { treatment: 'converted', note: 'a list in `options.stop`' } as const
const PASSED = { treatment: 'passed' } as const

/** The parameters that Ollama can express; all others of OpenAI are left out, and the answer's headers name them. */
const OWN: Readonly<Record<Endpoint, Readonly<Record<string, Parameter>>>> = {
  chat: {
    ...inOptions,
    stop: STOP,
    messages: {
      treatment: 'converted',
      note: '`developer` becomes `system`, images leave the text and have to be `data:` URLs, arguments become objects',
    },
    stream: PASSED,
    stream_options: COUNTED,
    logprobs: PASSED,
    top_logprobs: PASSED,
    tools: { treatment: 'passed', note: 'no custom tools; use function tools' },
    tool_choice: {
      treatment: 'converted',
      note: 'tools that are not admitted are left out; a call cannot be forced, and is told as dropped',
    },
    response_format: { treatment: 'converted', note: '`format`: `json`, or the schema itself' },
    reasoning_effort: { treatment: 'converted', note: '`think`: yes or no; low, medium, high for gpt-oss' },
    keep_alive: { treatment: 'passed', note: "Ollama's own" },
    options: { treatment: 'passed', note: "Ollama's own; wins over the parameters" },
    think: { treatment: 'passed', note: "Ollama's own" },
    format: { treatment: 'passed', note: "Ollama's own; `response_format` wins" },
    truncate: { treatment: 'passed', note: "Ollama's own" },
    shift: { treatment: 'passed', note: "Ollama's own" },
  },
  completions: {
    ...inOptions,
    stop: STOP,
    prompt: { treatment: 'converted', note: 'one text' },
    stream: PASSED,
    stream_options: COUNTED,
    suffix: PASSED,
    response_format: { treatment: 'converted', note: '`format`: `json`, or the schema itself' },
    reasoning_effort: { treatment: 'converted', note: '`think`: yes or no; low, medium, high for gpt-oss' },
    think: { treatment: 'passed', note: "Ollama's own" },
    format: { treatment: 'passed', note: "Ollama's own; `response_format` wins" },
    images: { treatment: 'passed', note: "Ollama's own" },
    truncate: { treatment: 'passed', note: "Ollama's own" },
    shift: { treatment: 'passed', note: "Ollama's own" },
    keep_alive: { treatment: 'passed', note: "Ollama's own" },
    options: { treatment: 'passed', note: "Ollama's own; wins over the parameters" },
    raw: { treatment: 'passed', note: "Ollama's own" },
    system: { treatment: 'passed', note: "Ollama's own" },
    template: { treatment: 'passed', note: "Ollama's own" },
    context: { treatment: 'passed', note: "Ollama's own" },
  },
  embeddings: {
    input: { treatment: 'converted', note: 'texts only, no tokens' },
    dimensions: PASSED,
    encoding_format: { treatment: 'converted', note: 'vectors come as numbers and are encoded by the gateway' },
    keep_alive: { treatment: 'passed', note: "Ollama's own" },
    options: { treatment: 'passed', note: "Ollama's own" },
    truncate: { treatment: 'passed', note: "Ollama's own" },
  },
}

/** Marks parameters as left out: those without an effect whose absence a caller could notice. */
const dropped = (names: readonly string[]): Readonly<Record<string, Parameter>> =>
  Object.fromEntries(names.map(name => [name, { treatment: 'dropped' }]))

function tableOf(endpoint: Endpoint): Readonly<Record<string, Parameter>> {
  const rules = UNSUPPORTED[endpoint]
  return { ...dropped(OPENAI_PARAMETERS[endpoint]), ...refusedParameters(rules), ...OWN[endpoint] }
}

/** What becomes of each parameter at Ollama's native API. */
export const parameters: Parameters = {
  chat: tableOf('chat'),
  completions: tableOf('completions'),
  embeddings: tableOf('embeddings'),
}

const TABLES: Readonly<Record<Endpoint, ReadonlyMap<string, Parameter>>> = {
  chat: new Map(Object.entries(parameters.chat ?? {})),
  completions: new Map(Object.entries(parameters.completions ?? {})),
  embeddings: new Map(Object.entries(parameters.embeddings ?? {})),
}

/** Fields that are not parameters: `model` is replaced by the server's name of it, the others are the gateway's own. */
const NO_PARAMETERS: ReadonlySet<string> = new Set(['model', 'fallbacks', 'cache'])

/** The parameters of a body that Ollama cannot express, unknown ones included. */
export function droppedFrom(endpoint: Endpoint, body: Readonly<Record<string, unknown>>): readonly string[] {
  const table = TABLES[endpoint]
  const left: string[] = []
  for (const name in body) {
    if ((body[name] ?? null) === null || NO_PARAMETERS.has(name)) continue
    if ((table.get(name)?.treatment ?? 'dropped') === 'dropped') left.push(name)
  }
  return left
}
