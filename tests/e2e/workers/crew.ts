import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import type { Crew } from '#core/crew.ts'
import { parseExposition } from '#tests/support/exposition.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { type Gate, gate, sse, startUpstream } from '#tests/support/upstream.ts'
import { type Started, start } from '../child.ts'

const DEADLINE_MS = 30_000

/** The number of each process that serves now. */
export function workersOf({ pid }: { readonly pid: number }): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return text.trim().split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** Resolves when the condition holds; only for what a process tells nobody about. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`it never came about that ${what}`)
    await Bun.sleep(10)
  }
}

/** A server that tells its health, and whose streams stop in the middle until the gate is opened. */
export function heldServer(hold: Gate = gate()) {
  const usual = openAiScript()
  return startUpstream(asked => {
    if (!asked.path.endsWith('/chat/completions')) return typeof usual === 'function' ? usual(asked) : usual
    const [first = '', second = '', ...rest] = chatEvents('m')
    return sse([first, second, hold, ...rest])
  })
}

/** Starts a gateway of several workers before one server, with the model `held`. */
export function startWorkers(server: { readonly url: string }, more = '', workers = 2, service = ''): Promise<Started> {
  return start(`gateway: { discover: false }
service: { workers: ${workers}, drain_delay: 300ms${service} }
models:
  held: { endpoint: "${server.url}" }
${more}
${/^limits:/m.test(more) ? '' : 'limits: { enabled: false }'}`)
}

/** One call over a connection of its own, which may be any worker's. */
export interface Asked {
  readonly status: number
  readonly text: string
  /** Whether the answer came to its end. */
  readonly whole: boolean
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** A call whose answer is read as it comes. */
export interface Call {
  /** Resolves when the first content is there, or the answer is over. */
  readonly begun: Promise<void>
  readonly over: Promise<Asked>
  leave(): void
}

/** Asks for a chat completion over a connection of its own. */
export function call(url: string, body: object = { model: 'held', stream: true }): Call {
  const begun = Promise.withResolvers<void>()
  const over = Promise.withResolvers<Asked>()
  let text = ''
  const asked = request(`${url}/v1/chat/completions`, { method: 'POST', agent: false }, response => {
    const end = (whole: boolean) => {
      begun.resolve()
      over.resolve({ status: response.statusCode ?? 0, text, whole, headers: response.headers })
    }
    response.setEncoding('utf8')
    response.on('data', (piece: string) => {
      text += piece
      if (text.includes('Hello')) begun.resolve()
    })
    response.on('end', () => end(response.complete))
    response.on('error', () => end(false))
    response.on('close', () => end(false))
  })
  asked.on('error', () => {
    begun.resolve()
    over.resolve({ status: 0, text, whole: false, headers: {} })
  })
  asked.end(JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], ...body }))
  return { begun: begun.promise, over: over.promise, leave: () => void asked.destroy() }
}

/** Begins streams, each over a connection of its own; resolves when all have their first content. */
export async function openStreams(url: string, count: number): Promise<readonly Call[]> {
  const calls = Array.from({ length: count }, () => call(url))
  await Promise.all(calls.map(({ begun }) => begun))
  return calls
}

/** The metrics as any worker tells them. */
export async function metricsOf(url: string): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(`${url}/metrics`, { keepalive: false })
  return parseExposition(await response.text())
}

/** Whether a stream came to its end as it should. */
export function isWhole({ status, text, whole }: Asked): boolean {
  return status === 200 && whole && text.endsWith('data: [DONE]\n\n')
}

type Hear = Parameters<Crew['listen']>[0]

/** Two workers that tell each other what they find; the first one probes for both. */
export function crewOfTwo(): readonly [Crew, Crew] {
  const hearers: readonly [Hear[], Hear[]] = [[], []]
  const member = (own: Hear[], others: Hear[], leads: boolean): Crew => ({
    size: 2,
    leads: () => leads,
    tell: news => {
      for (const hear of others) hear(news)
    },
    listen: hear => own.push(hear),
  })
  const [first, second] = hearers
  return [member(first, second, true), member(second, first, false)]
}
