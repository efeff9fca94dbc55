import { z } from '@hono/zod-openapi'
import { detailedHealthReport, healthReport, liveness, readiness } from '#wire/health.ts'
import type { Answer, Operation } from '../operation.ts'
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

const detailed = {
  ...report,
  servers: [
    {
      id: 'gpu-1',
      kind: 'ollama',
      status: 'healthy',
      latency_ms: 3,
      last_probe: '2026-11-21T08:59:48.000Z',
      last_seen: '2026-11-21T08:59:48.000Z',
      reason: null,
      models: ['chat'],
      in_flight: 2,
    },
  ],
  memory: { rss_bytes: 96_000_000, heap_used_bytes: 31_000_000 },
  cpu: { user_seconds: 12.4, system_seconds: 2.1 },
  dependencies: { database: { available: true } },
  workers: 1,
  event_loop_lag_ms: 0.4,
}

function json(description: string, schema: z.ZodType, summary: string, value: unknown): Answer {
  return { description, content: [{ type: 'application/json', schema, examples: { example: { summary, value } } }] }
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
      'For people, dashboards and simple monitors. 200 while models can answer, also when some servers are away (`degraded`); 503 when none can. Also served at `/v1/health`.',
    answers: {
      200: json('`healthy` or `degraded`.', healthReport, 'All is well', report),
      503: json('`unhealthy`: no model can answer.', healthReport, 'No server answers', {
        ...report,
        status: 'unhealthy',
        servers: { total: 1, healthy: 0 },
      }),
    },
    passes: [],
    samples: [curlGet('/health')],
  },
  getHealthDetailed: {
    tag: 'Health',
    summary: 'See how each server and the process are',
    description:
      'The report of `/health` with every server as the probes see it, and the memory, processor and event loop of the process.',
    answers: {
      200: json('`healthy` or `degraded`.', detailedHealthReport, 'One Ollama server', detailed),
      503: json('`unhealthy`: no model can answer.', detailedHealthReport, 'No server answers', {
        ...detailed,
        status: 'unhealthy',
      }),
    },
    passes: ['caller'],
    samples: [curlGet('/health/detailed')],
  },
  getLiveness: {
    tag: 'Health',
    summary: 'See whether the process is alive',
    description:
      'Answers as long as the event loop turns. It looks at nothing else, so that a broken server never restarts the gateway.',
    answers: { 200: json('Alive.', liveness, 'Alive', { status: 'ok' }) },
    passes: [],
    samples: [curlGet('/livez')],
  },
  getReadiness: {
    tag: 'Health',
    summary: 'See whether the process should get requests',
    description: 'Ready when at least one model can be served and the process is not stopping. It never calls a model.',
    answers: {
      200: json('Ready.', readiness, 'Ready', { status: 'ready', reason: null }),
      503: json('Not ready.', readiness, 'Stopping', { status: 'not_ready', reason: 'the gateway is shutting down' }),
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
