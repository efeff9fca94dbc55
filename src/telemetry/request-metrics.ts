import type { AttemptEntry } from '#core/attempt.ts'
import type { CacheNote } from '#core/cache.ts'
import { ERRORS } from '#core/errors.ts'
import { freeOutcome, type RequestRecord } from '#core/record.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { createFlag, createNames, NONE, STATUS } from './dimensions.ts'
import { createCounter, createHistogram, type Metric } from './series.ts'

const NANO_PER_USD = 1e9
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
/** How many names one label learns. Bounded so that the number of a series stays a small integer, for which a `Map` is
 * fastest. */
const NAMES_MAX = 512
const ROUTES_MAX = 128

const ANSWER_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]
const OVERHEAD_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]
const QUEUE_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const FIRST_TOKEN_SECONDS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
const INTER_TOKEN_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

/** What the metrics of requests need to know of the fleet. */
export interface RequestMetricsOptions {
  readonly snapshot: () => Snapshot
  /** Whether a server's attempts count as `ollama_requests_total`. */
  readonly isOllama: (server: string) => boolean
  readonly seriesMax: number
}

/** The metrics that are made of request records, and the function that counts one. */
export interface RequestMetrics {
  readonly metrics: readonly Metric[]
  settled(record: RequestRecord): void
}

/** Creates the metrics of requests. Counting one request takes less than a microsecond, because labels are numbers, not
 * objects, and each is looked up once. */
export function createRequestMetrics(options: RequestMetricsOptions): RequestMetrics {
  const labels = createLabels(options.snapshot)
  const family = createFamilies(labels, options.seriesMax)
  // Every code starts with 0, because Prometheus does not see the increase from no series to a first value of 1.
  for (const code of Object.keys(ERRORS)) family.errors.add(0, labels.code.id(code))

  function settled(record: RequestRecord): void {
    const method = labels.method.id(record.method)
    const route = labels.route.id(record.route)
    const status = record.status > 0 && record.status < STATUS.size ? record.status : 0
    family.requests.add(1, method, route, status)
    family.duration.observe(Math.max(0, record.endedAt - record.startedNow) / 1000, method, route)
    if (record.code !== null) family.errors.add(1, labels.code.id(record.code))
    if (record.eventsSkipped > 0) family.skipped.add(record.eventsSkipped)
    if (record.model !== null) settledCall(record, labels.model.id(record.model), status)
  }

  function settledCall(record: RequestRecord, model: number, status: number): void {
    const server = labels.server.id(record.server ?? NONE)
    family.calls.add(1, model, server, status, record.stream ? 1 : 0)
    // The client left before the end of a shared answer: the request that now pays for it counts the attempts.
    const attempts = record.passedOn ? NO_ATTEMPTS : record.attempts
    for (const attempt of attempts) {
      const result = labels.result.id(attempt.result ?? 'client_closed_request')
      family.attempts.add(1, labels.server.id(attempt.server), result)
      if (options.isOllama(attempt.server)) family.ollama.add(1)
    }
    const overhead = overheadMs(record)
    if (overhead !== null) family.overhead.observe(overhead / 1000)
    const { plan } = record
    if (plan?.sparesLoad && record.server === plan.candidates[0]?.target.server.id) family.spared.add(1, server)
    if (record.queueMs > 0) family.queueWait.observe(record.queueMs / 1000)
    const answering = attempts.findLast(hasAnswered)
    if (answering !== undefined && record.answeredAt > 0) {
      family.upstream.observe((record.answeredAt - answering.startedAt) / 1000, server, model)
    }
    if (record.stream && record.firstTokenAt > 0 && record.cache?.status !== 'hit') {
      family.firstToken.observe((record.firstTokenAt - record.startedNow) / 1000, server, model)
      const steps = record.contentFrames - 1
      if (steps > 0) family.interToken.observe((record.answeredAt - record.firstTokenAt) / 1000 / steps)
    }
    if (record.cache !== null) settledCache(record, record.cache, model)
    const { usage } = record
    // The tokens of a cached or shared answer were counted for the call that a server answered.
    if (usage === null || freeOutcome(record) !== null) return
    if (usage.input > 0) family.tokens.add(usage.input, server, model, labels.inputTokens)
    if (usage.output > 0) family.tokens.add(usage.output, server, model, labels.outputTokens)
    if (usage.cacheRead > 0) family.tokens.add(usage.cacheRead, server, model, labels.cacheReadTokens)
    if (usage.cacheWrite > 0) family.tokens.add(usage.cacheWrite, server, model, labels.cacheWriteTokens)
    const { costNano } = record
    if (costNano === null) family.unpriced.add(1, server, model)
    else if (costNano > 0) family.cost.add(costNano / NANO_PER_USD, server, model)
  }

  function settledCache({ savedTokens, savedNano }: RequestRecord, { status }: CacheNote, model: number): void {
    if (status === 'hit') family.hits.add(1)
    else if (status === 'miss') family.misses.add(1)
    else if (status === 'coalesced') family.coalesced.add(1)
    if (savedTokens > 0) family.saved.add(savedTokens, model)
    if (savedNano !== null && savedNano > 0) family.savedCost.add(savedNano / NANO_PER_USD, model)
  }

  return { metrics: Object.values(family), settled }
}

const NO_ATTEMPTS: readonly AttemptEntry[] = []

function hasAnswered({ result }: AttemptEntry): boolean {
  return result === 'ok'
}

/** The time that the gateway itself adds, in milliseconds: from the request to the first dial, less the wait in the
 * queue, plus what it takes after the upstream answer is complete. `null` when no server was dialled. */
export function overheadMs(record: RequestRecord): number | null {
  if (record.dialledAt === 0) return null
  const after = record.answeredAt > 0 ? Math.max(0, record.endedAt - record.answeredAt) : 0
  return Math.max(0, record.dialledAt - record.startedNow - record.queueMs) + after
}

function createLabels(snapshot: () => Snapshot) {
  const type = createNames('type', 8)
  return {
    method: createNames('method', 16, name => METHODS.has(name)),
    route: createNames('route', ROUTES_MAX),
    model: createNames('model', NAMES_MAX, name => snapshot().models.has(name)),
    server: createNames('server', NAMES_MAX, name => snapshot().servers.has(name)),
    result: createNames('result', 128, name => name === 'ok' || name === 'lost' || Object.hasOwn(ERRORS, name)),
    code: createNames('code', 128, name => Object.hasOwn(ERRORS, name)),
    stream: createFlag('stream'),
    type,
    inputTokens: type.id('input'),
    outputTokens: type.id('output'),
    cacheReadTokens: type.id('cache_read'),
    cacheWriteTokens: type.id('cache_write'),
  }
}

function createFamilies(labels: ReturnType<typeof createLabels>, seriesMax: number) {
  const { method, route, model, server, result, code, stream, type } = labels
  const define = (name: string, help: string, ...dimensions: (typeof method | typeof stream)[]) => ({
    name,
    help,
    dimensions,
    seriesMax,
  })
  return {
    requests: createCounter(define('http_requests_total', 'Requests answered.', method, route, STATUS)),
    duration: createHistogram(
      define('http_request_duration_seconds', 'From the request to the end of its answer.', method, route),
      ANSWER_SECONDS,
    ),
    errors: createCounter(define('gateway_errors_total', 'Requests that ended with an error.', code)),
    ollama: createCounter(define('ollama_requests_total', 'Requests sent to Ollama servers.')),
    calls: createCounter(define('gateway_requests_total', 'Model calls answered.', model, server, STATUS, stream)),
    attempts: createCounter(define('gateway_attempts_total', 'Attempts at model servers.', server, result)),
    upstream: createHistogram(
      define('gateway_upstream_duration_seconds', 'From the dial to the end of the answer.', server, model),
      ANSWER_SECONDS,
    ),
    overhead: createHistogram(
      define('gateway_overhead_seconds', 'What the gateway itself adds to a model call.'),
      OVERHEAD_SECONDS,
    ),
    queueWait: createHistogram(
      define('gateway_queue_wait_seconds', 'How long calls waited for a place, of those that waited.'),
      QUEUE_SECONDS,
    ),
    spared: createCounter(
      define(
        'gateway_model_loads_avoided_total',
        'Calls whose server had the model, while others had to load it.',
        server,
      ),
    ),
    firstToken: createHistogram(
      define('gateway_time_to_first_token_seconds', 'From the request to the first content.', server, model),
      FIRST_TOKEN_SECONDS,
    ),
    interToken: createHistogram(
      define('gateway_inter_token_seconds', 'Mean time between two pieces of a stream.'),
      INTER_TOKEN_SECONDS,
    ),
    tokens: createCounter(define('gateway_tokens_total', 'Tokens, as disjoint types.', server, model, type)),
    hits: createCounter(define('cache_hits_total', 'Model calls answered from the cache.')),
    misses: createCounter(define('cache_misses_total', 'Model calls that the cache had no answer to.')),
    coalesced: createCounter(define('gateway_coalesced_total', 'Model calls that shared the answer to another one.')),
    saved: createCounter(define('gateway_saved_tokens_total', 'Tokens answered without asking a server.', model)),
    savedCost: createCounter(
      define('gateway_saved_cost_usd_total', 'What these tokens would have cost, where their price is known.', model),
    ),
    cost: createCounter(define('gateway_cost_usd_total', 'What callers are charged, in US dollars.', server, model)),
    unpriced: createCounter(
      define('gateway_cost_unknown_total', 'Calls whose cost nobody knows, because a price is missing.', server, model),
    ),
    skipped: createCounter(define('gateway_events_skipped_total', 'Upstream events that could not be read.')),
  }
}
