import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { sharedDir } from '#tests/support/shared.ts'
import { json, type Steps, type StreamOptions, sse } from '#tests/support/upstream.ts'

/** What a real server was asked and what it answered. */
export interface RecordedCase {
  /** `openai/chat-text`, `openai-compatible/vllm/chat-stream`. */
  readonly name: string
  readonly provider: string
  /** `POST /v1/chat/completions`. */
  readonly endpoint: string
  readonly features: string
  /** Only `recorded` proves how a server behaves. */
  readonly capture: string
  /** The request's body, or null where only the answer was kept. */
  readonly request: unknown
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** The exact text of a stream or of a text answer, else the JSON value. */
  readonly body: unknown
  /** The body as text, JSON written anew. */
  readonly text: string
  /** Whether the body is a stream of events or lines. */
  readonly streamed: boolean
}

interface CaseFile {
  readonly provider: string
  readonly endpoint: string
  readonly features: string
  readonly source: { readonly capture: string }
  readonly request: unknown
  readonly response: { readonly status: number; readonly headers: Record<string, string>; readonly body: unknown }
}

/** Loads all cases below a folder of the recorded data, sorted by name.
 *
 * @param folder `openai`, `ollama`, `openai-compatible` (all of them) or `openai-compatible/vllm`.
 * @returns An empty list where the data are not installed.
 * @throws Error When the data are there and the folder is not, or holds nothing. */
export function recordedCases(folder: string): RecordedCase[] {
  const dir = wireDir()
  if (dir === null) return []
  const path = join(dir, folder)
  const files = existsSync(path) ? readdirSync(path, { recursive: true, encoding: 'utf8' }) : []
  const names = files.filter(file => file.endsWith('.json')).map(file => `${folder}/${file.slice(0, -'.json'.length)}`)
  if (names.length === 0) throw new Error(`No recorded cases in ${path}.`)
  return names.sort().map(name => readCase(dir, name))
}

/** Loads one case by its name.
 *
 * @throws Error When there is no such case; also where the data are not installed: guard with `sharedDir()`. */
export function recordedCase(name: string): RecordedCase {
  const dir = wireDir()
  if (dir === null || !existsSync(join(dir, `${name}.json`))) throw new Error(`No recorded case ${name}.`)
  return readCase(dir, name)
}

/** The steps that answer as the recorded server did; how the bytes were framed and split was not recorded. */
export function playRecorded(recorded: RecordedCase, options: StreamOptions = {}): Steps {
  const headers = Object.fromEntries(Object.entries(recorded.headers).filter(([name]) => !framingHeaders.has(name)))
  if (!recorded.streamed) return json(recorded.status, recorded.text, headers)
  return sse(recorded.text, { status: recorded.status, headers, ...options })
}

/** Where the cases are, or null where the data are not installed. */
function wireDir(): string | null {
  const shared = sharedDir()
  if (shared === null) return null
  const named = process.env.CITADEL_WIRE_DIR
  return named === undefined ? join(shared, 'wire') : resolve(named)
}

const framingHeaders = new Set(['content-length', 'transfer-encoding', 'content-encoding', 'connection'])

function readCase(dir: string, name: string): RecordedCase {
  const file: CaseFile = JSON.parse(readFileSync(join(dir, `${name}.json`), 'utf8'))
  const { status, headers, body } = file.response
  const { provider, endpoint, features, request, source } = file
  const streamed = typeof body === 'string' || headers['content-type']?.startsWith('text/event-stream') === true
  const text = textOf(body, streamed)
  return { name, provider, endpoint, features, capture: source.capture, request, status, headers, body, text, streamed }
}

/** A few streams were kept as a list of their events; the framing is then ours. */
function textOf(body: unknown, streamed: boolean): string {
  if (typeof body === 'string') return body
  if (!streamed || !Array.isArray(body)) return JSON.stringify(body)
  return body.map(event => `data: ${JSON.stringify(event)}\n\n`).join('')
}
