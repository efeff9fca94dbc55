import { chatCompletion, chatEvents } from '#tests/support/openai-upstream.ts'
import { json, type RecordedRequest, type Steps, sse } from '#tests/support/upstream.ts'

/** What every server of the matrix says, in pieces, when it is not broken. */
const PIECES = ['Hello', ' there', '!']
export const TEXT = PIECES.join('')
const VECTOR = [0.5, -0.25, 1]
const MODEL = 'test-model'

/** One way to ask for an answer. */
export interface Cell {
  readonly name: string
  readonly endpoint: 'chat' | 'completions' | 'embeddings'
  readonly stream: boolean
  readonly path: string
  readonly body: object
  /** The plain answer of a sound server, as it is written. */
  readonly whole: string
  /** The stream of a sound server: an event without content, then its content, its end and `[DONE]`. */
  readonly events: readonly (object | string)[]
  /** What the caller has been told: the text, or for embeddings whether the vector is right. */
  contentOf(answer: string): string
}

const MESSAGES = { messages: [{ role: 'user', content: 'Hi' }] }
const CHAT = JSON.stringify(chatCompletion(MODEL, { deltas: PIECES }))
const COMPLETION = JSON.stringify({
  id: 'cmpl-test',
  object: 'text_completion',
  created: 1_700_000_000,
  model: MODEL,
  choices: [{ index: 0, text: TEXT, logprobs: null, finish_reason: 'stop' }],
  usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 },
})
const EMBEDDINGS = JSON.stringify({
  object: 'list',
  data: [{ object: 'embedding', index: 0, embedding: VECTOR }],
  model: MODEL,
  usage: { prompt_tokens: 5, total_tokens: 5 },
})

const chat = { endpoint: 'chat', path: '/v1/chat/completions', whole: CHAT } as const
const completions = { endpoint: 'completions', path: '/v1/completions', whole: COMPLETION } as const

/** {chat, completions, embeddings} × {plain, streamed}; embeddings have no stream. */
export const CELLS: readonly Cell[] = [
  {
    ...chat,
    name: 'chat, plain',
    stream: false,
    body: MESSAGES,
    events: [],
    contentOf: answer => JSON.parse(answer).choices[0].message.content,
  },
  {
    ...chat,
    name: 'chat, streamed',
    stream: true,
    body: { ...MESSAGES, stream: true },
    events: chatEvents(MODEL, { deltas: PIECES }),
    contentOf: answer => streamed(answer, choice => choice.delta?.content),
  },
  {
    ...completions,
    name: 'completions, plain',
    stream: false,
    body: { prompt: 'Hi' },
    events: [],
    contentOf: answer => JSON.parse(answer).choices[0].text,
  },
  {
    ...completions,
    name: 'completions, streamed',
    stream: true,
    body: { prompt: 'Hi', stream: true },
    events: [...['', ...PIECES].map(text => textEvent(text)), textEvent('', 'stop'), '[DONE]'],
    contentOf: answer => streamed(answer, choice => choice.text),
  },
  {
    name: 'embeddings',
    endpoint: 'embeddings',
    stream: false,
    path: '/v1/embeddings',
    body: { input: 'Hi' },
    whole: EMBEDDINGS,
    events: [],
    contentOf: answer => (JSON.stringify(JSON.parse(answer).data[0].embedding) === JSON.stringify(VECTOR) ? TEXT : ''),
  },
]

/** How a sound server answers. */
export function soundAnswer(request: Pick<RecordedRequest, 'path' | 'json'>): Steps {
  const stream = (request.json() as { readonly stream?: boolean }).stream === true
  const cell = CELLS.find(each => each.path === request.path && each.stream === stream)
  if (cell === undefined) throw new Error(`nobody asks for ${request.path}`)
  return answerOf(cell)
}

/** The answer as it is written. */
export function answerOf({ stream, events, whole }: Cell): Steps {
  return stream ? sse(events) : json(200, whole)
}

interface Choice {
  readonly text?: string
  readonly delta?: { readonly content?: string }
}

function textEvent(text: string, finish_reason: string | null = null): object {
  const choices = [{ index: 0, text, logprobs: null, finish_reason }]
  return { id: 'cmpl-test', object: 'text_completion', created: 1_700_000_000, model: MODEL, choices }
}

/** The text of the events so far. */
function streamed(answer: string, textOf: (choice: Choice) => string | undefined): string {
  const events = answer.split('\n\n').filter(event => event.startsWith('data: {'))
  return events.map(event => textOf(JSON.parse(event.slice('data: '.length)).choices?.[0] ?? {}) ?? '').join('')
}
