import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { GatewayError } from '#core/errors.ts'
import { type Line, openLine, post } from '#tests/providers/transport/harness.ts'
import { seeded } from '#tests/support/random.ts'
import { drawer, RANDOM_NAMES, randomResponse, randomSplit } from '#tests/support/random-response.ts'
import { piecesOf } from '#tests/support/splits.ts'

const OK = 'HTTP/1.1 200 OK\r\n'
const CHUNKS = `${OK}transfer-encoding: chunked\r\n\r\n`
const HI = 'content-length: 2\r\n\r\nhi'

/** What we refuse and `fetch` takes, by what we call it: why, and an answer of which that is true. */
const STRICTER: Readonly<Record<string, { readonly why: string; readonly answer: string }>> = {
  'a control character in the head': {
    why: 'a line that ends otherwise goes on for another reader',
    answer: `HTTP/1.1 200 OK\n${HI}`,
  },
  'a header name that is none': {
    why: 'such a line may be the end of the head, or a header',
    answer: `${OK}content-length: 2\r\n\nhi`,
  },
  'an unknown version of HTTP': { why: 'nobody knows how such an answer ends', answer: `HTTP/1.2 200 OK\r\n${HI}` },
  'no status': { why: 'a status has three digits, from 100 on', answer: `HTTP/1.1 099 OK\r\n${HI}` },
  'a content-length': {
    why: 'beside chunks another reader may go by it',
    answer: `${OK}content-length: 9999999999999999\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  },
  'two lengths': {
    why: 'readers disagree about which of them holds',
    answer: `${OK}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  },
  'a transfer-encoding': {
    why: 'of all codings only chunks are known; another reader may undo another',
    answer: `${OK}transfer-encoding: identity\r\n${HI}`,
  },
  'a chunk size': {
    why: 'a number past what anybody can mean overflows somewhere',
    answer: `${CHUNKS}000000000000\r\n\r\n`,
  },
  'a chunk extension': {
    why: 'more than 4 kB of it is only there to cost something',
    answer: `${CHUNKS}2;${'a'.repeat(5000)}\r\nhi\r\n0\r\n\r\n`,
  },
  'a chunk that does not end': {
    why: 'what does not end behind its size had another one',
    answer: `${CHUNKS}2\r\nhi\r\n0\r\n\r\r\n`,
  },
  'a trailer': {
    why: 'a line that is no header is none at the end either',
    answer: `${CHUNKS}2\r\nhi\r\n0\r\n: x\r\n\r\n`,
  },
  'a head that is too large': {
    why: 'more than 64 kB of it is only there to cost something',
    answer: `${OK}x-a: ${'a'.repeat(65_536)}\r\n${HI}`,
  },
  'content-encoding': {
    why: 'what we cannot undo nobody behind us can read',
    answer: `${OK}content-encoding: rot13\r\n${HI}`,
  },
  'a compressed body': { why: 'half of a text is not the text', answer: `${OK}content-encoding: gzip\r\n\r\n` },
  truncated: {
    why: 'an answer that is not whole is told from one that is, to its last byte',
    answer: `${CHUNKS}2\r\nhi\r\n0\r\n\r`,
  },
}

/** What `fetch` refuses and we take, by what is in the bytes. */
const LOOSER: readonly { readonly sign: RegExp; readonly why: string; readonly answer: string }[] = [
  {
    sign: /\r\n[0-9A-Fa-f]+[ \t]/,
    why: 'servers pad chunk sizes with blanks, and RFC 9112 §7.1.1 has readers bear it',
    answer: `${CHUNKS}2 \r\nhi\r\n0\r\n\r\n`,
  },
]

const WRITTEN = [...Object.values(STRICTER), ...LOOSER].map(({ answer }) => answer)
const BATCH = 32

interface Outcome {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

type Result = { readonly outcome: Outcome } | { readonly refusal: string }

interface Made {
  readonly bytes: Buffer
  readonly split: readonly number[]
}

/** An answer that is written down, or the one of a seed: what is made twice has to be the same twice. */
function make(seed: number): Made {
  const written = WRITTEN[seed]
  if (written !== undefined) return { bytes: Buffer.from(written, 'latin1'), split: [] }
  const draw = drawer(seeded(seed))
  const bytes = randomResponse(draw, 0.9)
  return { bytes, split: randomSplit(bytes.length, draw) }
}

/** A server that answers `POST /SEED` with the answer of that seed, piece by piece, and ends the connection. */
function startServer() {
  const listener = Bun.listen<{ text: string }>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open(socket) {
        socket.data = { text: '' }
        socket.setNoDelay(true)
      },
      data(socket, data) {
        socket.data.text += data.toString('latin1')
        const seed = /^POST \/(\d+) /.exec(socket.data.text)?.[1]
        if (seed !== undefined && socket.data.text.endsWith('{}')) void answer(socket, make(Number(seed)))
      },
    },
  })
  return { url: `http://127.0.0.1:${listener.port}`, [Symbol.dispose]: () => listener.stop(true) }
}

async function answer(socket: Bun.Socket<unknown>, { bytes, split }: Made): Promise<void> {
  for (const piece of piecesOf(bytes, split)) {
    socket.write(piece)
    await new Promise(resolve => setImmediate(resolve))
  }
  socket.end()
}

async function overSockets(line: Line, url: string): Promise<Result> {
  try {
    const incoming = await line.send(post(url, '{}'))
    const pieces: Uint8Array[] = []
    for (let piece = await incoming.read(); piece !== null; piece = await incoming.read()) pieces.push(piece)
    return { outcome: outcomeOf(incoming.head.status, incoming.head.header, Buffer.concat(pieces)) }
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown
    return { refusal: refusalOf(thrown) }
  }
}

async function overFetch(url: string): Promise<Result> {
  try {
    const response = await fetch(url, { method: 'POST', body: '{}', redirect: 'manual', keepalive: false })
    const body = await response.arrayBuffer()
    return { outcome: outcomeOf(response.status, name => response.headers.get(name), Buffer.from(body)) }
  } catch (thrown) {
    return { refusal: String(thrown) }
  }
}

function outcomeOf(status: number, header: (name: string) => string | null, body: Buffer): Outcome {
  const headers: Record<string, string> = {}
  for (const name of RANDOM_NAMES) {
    const value = header(name)
    if (value !== null) headers[name] = value
  }
  return { status, headers, body: body.toString('latin1') }
}

/** The exact word for a failure, as it stands in `STRICTER`. */
function refusalOf({ cause }: GatewayError): string {
  if (typeof cause === 'object' && cause !== null && 'reason' in cause) return String(cause.reason)
  const story = String(cause)
  if (story.startsWith('Error: ') || story.startsWith('ZlibError')) return 'a compressed body'
  return story.startsWith('content-encoding') ? 'content-encoding' : story
}

/** Whether the list says that they may differ so. */
function isAllowed(ours: Result, theirs: Result, { bytes }: Made): boolean {
  if ('refusal' in ours) return Object.hasOwn(STRICTER, ours.refusal)
  return 'refusal' in theirs && LOOSER.some(({ sign }) => sign.test(bytes.toString('latin1')))
}

/** Gives an answer to both transports. */
async function askBoth(line: Line, url: string): Promise<{ readonly ours: Result; readonly theirs: Result }> {
  const [ours, theirs] = await Promise.all([overSockets(line, url), overFetch(url)])
  return { ours, theirs }
}

test('both transports read the same in the same bytes, but for what is written down here', async () => {
  using server = startServer()
  await using line = openLine()
  const compare = async (seed: number) => {
    const { ours, theirs } = await askBoth(line, `${server.url}/${seed}`)
    if ('refusal' in ours && 'refusal' in theirs) return
    const made = make(seed)
    if (Bun.deepEquals(ours, theirs) || isAllowed(ours, theirs, made)) return
    expect<unknown>({ seed, bytes: made.bytes.toString('latin1'), ours }).toEqual({ theirs })
  }

  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(), { minLength: BATCH, maxLength: BATCH }), async seeds => {
      await Promise.all(seeds.map(compare))
    }),
    { seed: 7, numRuns: 100 },
  )
}, 60_000)

test.each(Object.keys(STRICTER).map((refusal, seed) => [refusal, seed] as const))(
  'only fetch takes: %s',
  async (refusal, seed) => {
    using server = startServer()
    await using line = openLine()

    const { ours, theirs } = await askBoth(line, `${server.url}/${seed}`)

    expect(ours).toEqual({ refusal })
    expect(theirs).toHaveProperty('outcome')
  },
)

test.each(LOOSER.map(({ why }, at) => [why, Object.keys(STRICTER).length + at] as const))(
  'only fetch refuses: %s',
  async (_, seed) => {
    using server = startServer()
    await using line = openLine()

    const { ours, theirs } = await askBoth(line, `${server.url}/${seed}`)

    expect(ours).toHaveProperty('outcome')
    expect(theirs).toHaveProperty('refusal')
  },
)
