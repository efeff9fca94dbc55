import { z } from '@hono/zod-openapi'
import { detailedHealthReport, healthReport, liveness, readiness } from '#wire/health.ts'
import { type Answer, exampleAnswer, type Operation } from '../operation.ts'
import { curlGet } from '../samples.ts'

const report = {
  status: 'healthy',
  gateway: 'citadel-gateway',
  version: '0.1.0',
  uptime: 4210,
  timestamp: '2026-11-21T09:00:00.000Z',
  models: ['citadel-demo'],
  services: { api: 'healthy' },
  servers: { total: 1, healthy: 1 },
}

/** How a process is, for examples. */
export const processParts = {
  memory: {
    status: 'healthy',
    rss_bytes: 96_000_000,
    heap_used_bytes: 31_000_000,
    limit_bytes: 2_000_000_000,
    used: 0.048,
  },
  cpu: { user_seconds: 12.4, system_seconds: 2.1, cores: 4, used: 0.12 },
  errors: { status: 'healthy', rate: 0.004, requests: 1250 },
  dependencies: {
    database: { status: 'healthy', available: true, latency_ms: 0.4 },
    redis: { status: 'healthy', available: true, latency_ms: 0.3 },
    vectors: { status: 'not_configured', available: false, latency_ms: null },
  },
  thresholds: { response_time: [1000, 5000], error_rate: [0.05, 0.1], memory: [0.8, 0.95] },
  workers: 1,
}

const detailed = {
  ...report,
  servers: [
    {
      id: 'gpu-1',
      kind: 'ollama',
      status: 'healthy',
      latency_ms: 3,
      error_rate: 0.01,
      last_probe: '2026-11-21T08:59:48.000Z',
      last_seen: '2026-11-21T08:59:48.000Z',
      reason: null,
      models: ['chat'],
      in_flight: 2,
    },
  ],
  ...processParts,
  event_loop_lag_ms: 0.4,
}

/** By this header a gateway is known, also where nothing else can be read. */
function marked(answer: Answer): Answer {
  return { ...answer, headers: ['x-citadel-gateway'] }
}

const exposition = [
  '# HELP http_requests_total Requests that were answered.',
  '# TYPE http_requests_total counter',
  'http_requests_total{method="POST",route="/v1/chat/completions",status="200"} 42',
  '',
].join('\n')

/** The operations that monitors and orchestrators call. */
export const healthOperations = {
  getHealth: {
    tag: 'Health',
    summary: 'See whether the gateway can answer',
    description:
      'For people, dashboards and simple monitors. The status is 200 while models can answer, even if some servers cannot (`degraded`), and 503 when no model can. Also served at `/v1/health`.',
    answers: {
      200: marked(exampleAnswer('`healthy` or `degraded`.', healthReport, 'All is well', report)),
      503: marked(
        exampleAnswer('`unhealthy`: no model can answer.', healthReport, 'No server answers', {
          ...report,
          status: 'unhealthy',
          servers: { total: 1, healthy: 0 },
        }),
      ),
    },
    passes: [],
    samples: [curlGet('/health')],
  },
  getHealthDetailed: {
    tag: 'Health',
    summary: 'Get the health of every server and of the process',
    description:
      'The report of `/health`, and in addition every server, the process itself, and its dependencies, which are asked for this report. `monitoring.thresholds` decides what is `degraded` and what is `unhealthy`: by the memory in use, by the share of model calls that failed in the last minute, and by how long Redis, the database and the servers take to answer. Model calls go on without Redis or the database, so that the gateway is then only `degraded`.',
    answers: {
      200: exampleAnswer('`healthy` or `degraded`.', detailedHealthReport, 'One Ollama server', detailed),
      503: exampleAnswer(
        '`unhealthy`: no model can answer, or a threshold is passed.',
        detailedHealthReport,
        'No server answers',
        {
          ...detailed,
          status: 'unhealthy',
        },
      ),
    },
    passes: ['caller'],
    samples: [curlGet('/health/detailed')],
  },
  getLiveness: {
    tag: 'Health',
    summary: 'See whether the process is alive',
    description:
      'Answers as long as the event loop runs. It checks nothing else, so that a broken model server never makes an orchestrator restart the gateway.',
    answers: { 200: exampleAnswer('Alive.', liveness, 'Alive', { status: 'ok' }) },
    passes: [],
    samples: [curlGet('/livez')],
  },
  getReadiness: {
    tag: 'Health',
    summary: 'See whether the process should get requests',
    description: 'Ready when at least one model can be served and the process is not stopping. It never calls a model.',
    answers: {
      200: exampleAnswer('Ready.', readiness, 'Ready', { status: 'ready', reason: null }),
      503: exampleAnswer('Not ready.', readiness, 'Stopping', {
        status: 'not_ready',
        reason: 'the gateway is shutting down',
      }),
    },
    passes: [],
    samples: [curlGet('/readyz')],
  },
  getMetrics: {
    tag: 'Health',
    summary: 'Read the metrics',
    description: 'The metrics in the text format of Prometheus. Also served at `/v1/metrics`.',
    answers: {
      200: {
        description: 'The metrics.',
        content: [
          {
            type: 'text/plain',
            schema: z.string(),
            examples: { some: { summary: 'One counter', value: exposition } },
          },
        ],
      },
    },
    passes: ['caller'],
    samples: [curlGet('/metrics')],
  },
} as const satisfies Record<string, Operation>
