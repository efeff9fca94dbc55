/** How the requests ended. */
export interface Tally {
  ok: number
  /** Left by the client on purpose. */
  aborted: number
  /** Streams that ended in an error event. */
  interrupted: number
  /** Errors by status. */
  refused: number
  /** Streams without a true end, and connections that broke: never the gateway's right. */
  wrong: number
}

/** A load that goes on until it is stopped. */
export interface Load {
  readonly tally: Tally
  /** Lets what is under way end. */
  stop(): Promise<void>
}

const ABORT_SHARE = 0.3
const STREAM_SHARE = 0.5
/** About as long as an answer takes, so that some leave before its first byte, some in the middle, some at its end. */
const STREAM_MS = 80
const PLAIN_MS = 30

/** Sends requests, each worker one after the other. */
export function startLoad(url: string, concurrency: number): Load {
  const tally: Tally = { ok: 0, aborted: 0, interrupted: 0, refused: 0, wrong: 0 }
  let running = true
  const work = async () => {
    while (running) tally[await ask(url)]++
  }
  const workers = Array.from({ length: concurrency }, work)
  return {
    tally,
    async stop() {
      running = false
      await Promise.all(workers)
    },
  }
}

/** Sends one request and reads its answer to the end, unless it leaves before. */
async function ask(url: string): Promise<keyof Tally> {
  const stream = Math.random() < STREAM_SHARE
  const leaving = new AbortController()
  const leaves = Math.random() < ABORT_SHARE
  const timer = leaves ? setTimeout(() => leaving.abort(), Math.random() * (stream ? STREAM_MS : PLAIN_MS)) : undefined
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'soak', messages: [{ role: 'user', content: 'Hello!' }], stream }),
      signal: leaving.signal,
    })
    const text = await response.text()
    if (!response.ok) return 'refused'
    if (!stream || text.endsWith('data: [DONE]\n\n')) return 'ok'
    return text.includes('data: {"error":') ? 'interrupted' : 'wrong'
  } catch {
    return leaving.signal.aborted ? 'aborted' : 'wrong'
  } finally {
    clearTimeout(timer)
  }
}
