// A model server as far as a benchmark needs one: `bun upstream.ts PORT`. It answers at once or after a delay, plain or
// as a stream; how is set through `POST /control`, so that the measured requests are the same for every proxy.

interface Settings {
  /** Before the first byte of an answer. */
  delayMs: number
  /** Between two events of a stream. */
  chunkMs: number
  /** Events of a stream before `[DONE]`. */
  chunks: number
  /** Groups of streams that take turns within that time; in one group all write at once. */
  groups: number
}

interface OpenStream {
  readonly controller: ReadableStreamDirectController
  readonly finish: () => void
  readonly number: number
  left: number
}

const settings: Settings = { delayMs: 0, chunkMs: 2, chunks: 50, groups: 1 }
const streams = new Set<OpenStream>()
let begun = 0
let turn = 0
const delta = `data: ${JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion.chunk',
  created: 1_700_000_000,
  model: 'bench',
  choices: [{ index: 0, delta: { content: ' a piece of the answer' }, logprobs: null, finish_reason: null }],
})}\n\n`
const finish = delta
  .replace('{"content":" a piece of the answer"}', '{}')
  .replace('"finish_reason":null', '"finish_reason":"stop"')
const first = delta.replace('{"content":', '{"role":"assistant","content":')
const plain = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'bench',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'An answer. '.repeat(64) },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 500, completion_tokens: 180, total_tokens: 680 },
})
const usage = `data: ${JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion.chunk',
  created: 1_700_000_000,
  model: 'bench',
  choices: [],
  usage: { prompt_tokens: 500, completion_tokens: 50, total_tokens: 550 },
})}\n\n`

let ticker = setInterval(writeToGroup, settings.chunkMs)

Bun.serve({
  port: Number(process.argv[2]),
  hostname: '127.0.0.1',
  idleTimeout: 0,
  development: false,
  async fetch(request) {
    if (request.method === 'GET') return describe(request.url)
    const body = await request.text()
    if (request.url.endsWith('/control')) return control(body)
    if (settings.delayMs > 0) await Bun.sleep(settings.delayMs)
    if (!body.includes('"stream":true')) return new Response(plain, { headers: { 'content-type': 'application/json' } })
    return stream(request.signal, body.includes('"include_usage":true') ? finish + usage : finish)
  },
})

/** Streams events in step with all other streams of its group: a timer for each would cost more than the writing. */
function stream(signal: AbortSignal, last: string): Response {
  const source: Bun.DirectUnderlyingSource = {
    type: 'direct',
    pull(controller) {
      const done = Promise.withResolvers<void>()
      const one: OpenStream = {
        controller,
        number: begun++,
        left: settings.chunks - 1,
        finish: () => {
          streams.delete(one)
          if (!signal.aborted) {
            controller.write(`${last}data: [DONE]\n\n`)
            controller.end()
          }
          done.resolve()
        },
      }
      signal.addEventListener('abort', one.finish)
      streams.add(one)
      controller.write(first)
      controller.flush()
      return done.promise
    },
  }
  // A direct stream writes each event when it is flushed; the standard's types do not know it.
  const body = new ReadableStream(source as unknown as UnderlyingSource)
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

function writeToGroup(): void {
  turn = (turn + 1) % settings.groups
  for (const one of streams) {
    if (one.number % settings.groups !== turn) continue
    if (one.left-- <= 1) one.finish()
    else {
      one.controller.write(delta)
      one.controller.flush()
    }
  }
}

function control(body: string): Response {
  const before = settings.chunkMs / settings.groups
  Object.assign(settings, JSON.parse(body))
  const interval = settings.chunkMs / settings.groups
  if (interval !== before) {
    clearInterval(ticker)
    ticker = setInterval(writeToGroup, interval)
  }
  return Response.json({ ...settings })
}

function describe(url: string): Response {
  if (url.endsWith('/control')) return Response.json({ ...settings, open: streams.size })
  const data = ['bench', 'bench-a', 'bench-b'].map(id => ({ id, object: 'model', created: 0, owned_by: 'bench' }))
  return Response.json({ object: 'list', data })
}

export {}
