/** A model server of this process that breaks off some of its answers. */
export interface SoakUpstream {
  readonly port: number
  /** Answers begun, and those of them that were broken off. */
  readonly answers: number
  readonly broken: number
  stop(): void
}

const PIECES = 12
const PIECE_MS = 4
const FIRST_MS_MAX = 30
/** The share of answers that are broken off, at any place. */
const BROKEN_SHARE = 0.05

const chunk = (delta: object, finish: string | null) =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-soak',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'soak',
    choices: [{ index: 0, delta, finish_reason: finish }],
  })}\n\n`

const framed = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`

/** A stream in the pieces in which it is written. */
const STREAM: readonly string[] = [
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n',
  ...[
    chunk({ role: 'assistant', content: '' }, null),
    ...Array.from({ length: PIECES }, (_, index) => chunk({ content: ` piece ${index} of the answer` }, null)),
    chunk({}, 'stop'),
    'data: [DONE]\n\n',
  ].map(framed),
  framed(''),
]

const PLAIN = JSON.stringify({
  id: 'chatcmpl-soak',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'soak',
  choices: [{ index: 0, message: { role: 'assistant', content: 'An answer. '.repeat(64) }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 50, completion_tokens: 180, total_tokens: 230 },
})

const LIST = JSON.stringify({ object: 'list', data: [{ id: 'soak', object: 'model' }] })

interface Tally {
  answers: number
  broken: number
}

/** What is known of a connection: what came of the next request, and whether it still stands. */
interface Connection {
  received: string
  open: boolean
}

/** Starts a model server on loopback that answers within some hundredths of a second, or resets the connection. */
export function startSoakUpstream(): SoakUpstream {
  const tally: Tally = { answers: 0, broken: 0 }
  const listener = Bun.listen<Connection>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open(socket) {
        socket.data = { received: '', open: true }
      },
      data(socket, bytes) {
        socket.data.received += bytes.toString('latin1')
        const request = takeRequest(socket.data)
        if (request !== null) void answer(socket, request, tally)
      },
      close(socket) {
        if (socket.data !== undefined) socket.data.open = false
      },
    },
  })
  return {
    port: listener.port,
    get answers() {
      return tally.answers
    },
    get broken() {
      return tally.broken
    },
    stop: () => listener.stop(true),
  }
}

/** The request that has come whole, head and body; `null` while some of it is missing. */
function takeRequest(connection: Connection): string | null {
  const { received } = connection
  const head = received.indexOf('\r\n\r\n')
  const length = Number(/^content-length: *(\d+)/im.exec(received)?.[1] ?? 0)
  if (head < 0 || received.length < head + 4 + length) return null
  connection.received = ''
  return received
}

async function answer(socket: Bun.Socket<Connection>, request: string, tally: Tally): Promise<void> {
  if (request.startsWith('GET ')) {
    socket.write(plainAnswer(LIST))
    return
  }
  tally.answers++
  const pieces = request.includes('"stream":true') ? STREAM : halves(plainAnswer(PLAIN))
  const breaks = Math.random() < BROKEN_SHARE
  if (breaks) tally.broken++
  const end = breaks ? Math.floor(Math.random() * pieces.length) : pieces.length
  await Bun.sleep(Math.random() * FIRST_MS_MAX)
  for (const piece of pieces.slice(0, end)) {
    if (!socket.data.open) return
    socket.write(piece)
    await Bun.sleep(PIECE_MS)
  }
  if (breaks && socket.data.open) socket.terminate()
}

function plainAnswer(body: string): string {
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}

function halves(text: string): readonly string[] {
  const middle = Math.floor(text.length / 2)
  return [text.slice(0, middle), text.slice(middle)]
}
