import type { Call } from '../../src/core/call.ts'
import { PROVIDERS } from '../../src/providers/index.ts'
import type { StreamEvent } from '../../src/providers/provider.ts'
import { median } from './load-plan.ts'
import { figure, table } from './report.ts'
import type { Run } from './run.ts'

const chunks = 5000
const goal = 3
const passedThrough = 'openai_compatible'

/** A chunk of text in the middle of a stream, as each kind of server sends it, and what comes before the first one. */
const streams: Readonly<Record<string, { readonly begin: readonly object[]; readonly chunk: object }>> = {
  [passedThrough]: { begin: [openai({ role: 'assistant', content: '' })], chunk: openai({ content: ' word' }) },
  deepseek: { begin: [openai({ role: 'assistant', content: '' })], chunk: openai({ content: ' word' }) },
  ollama: {
    begin: [],
    chunk: {
      model: 'm',
      created_at: '2026-01-01T00:00:00.123456Z',
      message: { role: 'assistant', content: ' word' },
      done: false,
    },
  },
  anthropic: {
    begin: [
      {
        type: 'message_start',
        message: {
          id: 'msg_1',
          type: 'message',
          role: 'assistant',
          model: 'm',
          content: [],
          usage: { input_tokens: 9, output_tokens: 1 },
        },
      },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    ],
    chunk: { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: ' word' } },
  },
  gemini: {
    begin: [],
    chunk: {
      candidates: [{ content: { parts: [{ text: ' word' }], role: 'model' }, index: 0 }],
      usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 3, totalTokenCount: 12 },
      modelVersion: 'm',
      responseId: 'r',
    },
  },
}

/** Measures what translating a chunk costs beside one that goes on as it came, in processor time of this process. */
export async function measureTranslation(run: Run): Promise<string> {
  run.progress('translation of streams')
  const kinds = Object.keys(streams).filter(kind => PROVIDERS.has(kind))
  const costs = new Map<string, number[]>(kinds.map(kind => [kind, []]))
  // The first rounds are the compiler's. In turn, so that what the machine does else meets all alike.
  for (let round = 0; round < (run.quick ? 8 : 30); round++) {
    for (const kind of kinds) costs.get(kind)?.push(costOf(kind))
  }
  const costed = (kind: string) => median((costs.get(kind) ?? []).slice(3))
  const base = costed(passedThrough)
  const rows = kinds.map(kind => {
    const ratio = costed(kind) / base
    return [kind, figure(costed(kind)), figure(ratio), kind === passedThrough ? '' : ratio <= goal ? 'yes' : '**no**']
  })
  const headings = ['', 'µs a chunk', 'beside a passed-through one', `at most ${goal} ×`]
  return `### Translation of streams: ${chunks} chunks of a word\n\n${table(headings, rows)}`
}

/** Microseconds of processor time a chunk. */
function costOf(kind: string): number {
  const provider = PROVIDERS.get(kind)
  const stream = streams[kind]
  if (provider === undefined || stream === undefined) return Number.NaN
  const reducer = provider.stream(call)
  // No two alike: a parser may remember the text that it has just seen.
  const text = toEvent(stream.chunk)
  const events = Array.from({ length: chunks }, (_, n) => ({ ...text, data: text.data.replace(' word', ` word${n}`) }))
  let state = reducer.start()
  for (const each of stream.begin) state = reducer.step(state, toEvent(each))[0]
  const before = process.cpuUsage()
  for (const event of events) state = reducer.step(state, event)[0]
  const { user, system } = process.cpuUsage(before)
  return (user + system) / chunks
}

function toEvent(value: object): StreamEvent {
  return { name: 'type' in value ? String(value.type) : '', data: JSON.stringify(value) }
}

function openai(delta: object): object {
  const choices = [{ index: 0, delta, logprobs: null, finish_reason: null }]
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    system_fingerprint: null,
    choices,
  }
}

const call: Call = {
  endpoint: 'chat',
  model: 'm',
  body: { model: 'm', messages: [{ role: 'user', content: 'Hi' }], stream: true },
  source: null,
  stream: true,
  wantsUsage: false,
  fallbacks: [],
  caller: {
    id: 'bench',
    name: 'bench',
    tenant: 'default',
    role: 'anonymous',
    models: null,
    limits: null,
    expiresAt: null,
  },
  priority: 'normal',
  traceparent: null,
}
