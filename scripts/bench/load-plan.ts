/** What the load generator is asked to do; a line of JSON on its input. */
export interface LoadPlan {
  readonly port: number
  /** Clients at once, each with one request under way. */
  readonly clients: number
  /** `mixed`: every second client streams. `hold`: streams that are opened once and kept. */
  readonly kind: 'plain' | 'stream' | 'mixed' | 'hold'
  readonly model: string
  readonly key: string
  readonly promptBytes: number
  /** How long each client waits between an answer and its next request, on average. */
  readonly pauseMs: number
  /** Whether all requests ask the same; otherwise each prompt is its own. */
  readonly same: boolean
  readonly warmSeconds: number
  readonly seconds: number
  /** Time over which the clients begin, so that they do not go in step. */
  readonly rampMs: number
  /** The processes whose processor time is measured, over the same seconds. */
  readonly pids: readonly number[]
}

/** Two points of a distribution of milliseconds. */
export interface Latency {
  readonly p50: number
  readonly p99: number
}

/** What came of a plan; a line of JSON on its output. */
export interface LoadResult {
  readonly seconds: number
  readonly requests: number
  /** Events of streams. */
  readonly events: number
  /** Answers that were not 200, and connections that broke. */
  readonly failures: number
  /** Streams that have begun. */
  readonly started: number
  readonly cpuMicros: number
  readonly plain: Latency
  readonly stream: Latency
  /** To the first event of a stream. */
  readonly firstEvent: Latency
}

/** Finds the p-th percentile (0 to 100) of values, NaN of none. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor((p / 100) * sorted.length))] ?? Number.NaN
}

/** Finds the middle of values, NaN of none. */
export function median(values: readonly number[]): number {
  return percentile(values, 50)
}

/** Writes the requests of one client: the same bytes each time, but for a number that makes each prompt its own. */
export function createRequest(plan: LoadPlan, streamed: boolean): { next(): Uint8Array } {
  const slot = '0000000000'
  const content = `${slot} ${'benchmark prompt '.repeat(1 + plan.promptBytes / 17)}`.slice(0, plan.promptBytes)
  const messages = [{ role: 'user', content: content.padEnd(slot.length) }]
  const body = JSON.stringify({ model: plan.model, messages, ...(streamed ? { stream: true } : {}) })
  const head = [
    'POST /v1/chat/completions HTTP/1.1',
    `host: 127.0.0.1:${plan.port}`,
    'content-type: application/json',
    `authorization: Bearer ${plan.key}`,
    `content-length: ${Buffer.byteLength(body)}`,
  ]
  const bytes = Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
  const at = bytes.indexOf(`"${slot}`) + 1
  return {
    next: () => {
      if (!plan.same) bytes.write(String(requestNumber()).padStart(slot.length, '0'), at, 'latin1')
      return bytes
    },
  }
}

const requestNumber = createCounter()

function createCounter(): () => number {
  // Each process of a run begins elsewhere, so that no two send the same prompt.
  let count = (Date.now() % 100_000) * 10_000
  return () => count++ % 10_000_000_000
}
