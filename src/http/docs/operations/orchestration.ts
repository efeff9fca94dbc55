import { z } from '@hono/zod-openapi'
import {
  enterpriseHealth,
  failoverView,
  heartbeat,
  registration,
  removedServer,
  serverList,
  serverView,
} from '#wire/orchestration.ts'
import { exampleAnswer, type Operation } from '../operation.ts'
import { curlGet, shell } from '../samples.ts'
import { processParts } from './health.ts'
import { AUTH } from './management.ts'

const BASE = 'http://localhost:8000/orchestration'

const server = {
  server_id: 'llm-02',
  hostname: '10.0.0.34',
  port: 11_434,
  kind: 'ollama',
  role: 'business',
  origin: 'registration',
  status: 'active',
  models: ['mixtral:8x7b'],
  services: [],
  health_status: 'healthy',
  last_seen: '2026-11-21T09:00:00.000Z',
  capabilities: ['chat'],
  load_metrics: { cpu_percent: 41, queue: 0, in_flight: 2 },
}

const enlisted = {
  server_info: {
    id: 'llm-02',
    hostname: '10.0.0.34',
    port: 11_434,
    kind: 'ollama',
    role: 'business',
    capabilities: ['chat'],
    models: ['mixtral:8x7b'],
  },
  health_endpoint: '/api/version',
  models_endpoint: '/api/tags',
  metrics_endpoint: '/metrics',
}

const params = z.object({ id: z.string().describe('The id of the server.') })
const keyed = { tag: 'Orchestration', params } as const

function curl(...lines: readonly string[]): Operation['samples'][number] {
  return shell(lines.join(' \\\n  '))
}

/** A program that registers a server first. */
function withServer(line: string): Operation['samples'][number] {
  const body = `{ "server_info": { "id": "llm-02", "hostname": "10.0.0.34", "port": 11434 } }`
  return shell(`curl "${BASE}/servers/register" ${AUTH} \\\n  -d '${body}'\n${line}`)
}

const events = [
  'id: 019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e8f',
  'event: failover_initiated',
  'data: {"id":"019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e8f","type":"failover_initiated","at":"2026-11-21T09:00:00.000Z","server":"llm-02","data":{"trigger":"automatic","by":null,"in_flight":3}}',
  '',
  '',
].join('\n')

/** The operations below `/orchestration`, and the health of the fleet. */
export const orchestrationOperations = {
  listServers: {
    tag: 'Orchestration',
    summary: 'List the servers of the fleet',
    description:
      'Lists every server: those of the configuration, those that the gateway found by itself, and those that registered themselves.',
    answers: { 200: exampleAnswer('Every server.', serverList, 'One server', { servers: [server] }) },
    passes: ['caller'],
    samples: [curlGet('/orchestration/servers/list')],
  },
  getServerHealth: {
    ...keyed,
    summary: 'Get the health of a server',
    description: 'The health of a server by its probes, and the load that the server reports.',
    answers: { 200: exampleAnswer('The server.', serverView, 'A registered server', server) },
    passes: ['caller'],
    errors: ['not_found'],
    samples: [curlGet('/orchestration/servers/demo/health')],
  },
  registerServer: {
    tag: 'Orchestration',
    summary: 'Register a server',
    description:
      'Adds a server to the fleet, or replaces the settings of one that has registered before; this also counts as a heartbeat. The gateway probes the server at once, asks it for its models unless it names them, and uses it for the models of these names. A server of kind `service` is only watched. A server that sends no heartbeat for `orchestration.heartbeat_timeout` is removed.',
    body: { schema: registration, examples: { ollama: { summary: 'An Ollama server', value: enlisted } } },
    answers: {
      200: exampleAnswer('The server as it is now registered.', serverView, 'A registered server', server),
    },
    passes: ['caller', 'body'],
    errors: ['address_not_allowed', 'conflict', 'dependency_unavailable'],
    samples: [withServer(`curl "${BASE}/servers/llm-02/health"`)],
  },
  beatServer: {
    ...keyed,
    summary: 'Send a heartbeat',
    description: 'Keeps a registered server in the fleet; it may report its load.',
    body: {
      schema: heartbeat,
      examples: {
        load: { summary: 'With its load', value: { load_metrics: { cpu_percent: 41, error_rate: 0, queue: 0 } } },
      },
    },
    answers: { 200: exampleAnswer('The server.', serverView, 'A registered server', server) },
    passes: ['caller', 'body'],
    errors: ['not_found', 'dependency_unavailable'],
    samples: [withServer(`curl -X POST "${BASE}/servers/llm-02/heartbeat" ${AUTH}`)],
  },
  removeServer: {
    ...keyed,
    summary: 'Remove a registered server',
    description:
      'The server gets no new requests; running ones go on to their end. Servers of the configuration cannot be removed.',
    answers: {
      200: exampleAnswer('The server is removed.', removedServer, 'A removed server', {
        server_id: 'llm-02',
        removed: true,
      }),
    },
    passes: ['caller'],
    errors: ['invalid_request', 'not_found', 'dependency_unavailable'],
    samples: [withServer(`curl -X DELETE "${BASE}/servers/llm-02" ${AUTH}`)],
  },
  drainServer: {
    ...keyed,
    summary: 'Drain a server',
    description:
      'Sends new requests to other servers, in every process within a few seconds; running ones go on to their end. The server stays drained until it is recovered, also after a restart.',
    answers: {
      200: exampleAnswer('The server is draining.', failoverView, 'Two streams go on', {
        server_id: 'llm-02',
        status: 'draining',
        in_flight: 2,
      }),
    },
    passes: ['caller'],
    errors: ['invalid_request', 'not_found', 'dependency_unavailable'],
    samples: [
      curl(`curl -X POST "${BASE}/failover/demo"`, AUTH),
      { lang: 'bash', label: 'curl, and back', source: `curl -X POST "${BASE}/recover/demo" ${AUTH}` },
    ],
  },
  recoverServer: {
    ...keyed,
    summary: 'Recover a drained server',
    description: 'Lets a drained server get requests again.',
    answers: {
      200: exampleAnswer('The server gets requests.', failoverView, 'An active server', {
        server_id: 'llm-02',
        status: 'active',
        in_flight: 0,
      }),
    },
    passes: ['caller'],
    errors: ['invalid_request', 'not_found', 'dependency_unavailable'],
    samples: [curl(`curl -X POST "${BASE}/recover/demo"`, AUTH)],
  },
  followEvents: {
    tag: 'Orchestration',
    summary: 'Follow the events of the fleet',
    description:
      'Sends the events of all processes that share the database as server-sent events, until the client closes the connection. With `last-event-id` the events after that one come first; events are kept for thirty days. Types: `server_registered`, `server_departed`, `health_status_changed`, `load_threshold_exceeded`, `failover_initiated`, `failover_completed`, `cluster_rebalanced`.',
    headers: z.object({
      'last-event-id': z.string().optional().describe('The id of the last event that the client has read.'),
    }),
    query: z.object({
      after: z
        .string()
        .optional()
        .describe('The same as the header `last-event-id`, for clients that cannot set headers.'),
      lastEventId: z
        .string()
        .optional()
        .describe('The same, before `after`, for clients in browsers that add it when they connect again.'),
    }),
    answers: {
      200: {
        description: 'The events.',
        content: [
          {
            type: 'text/event-stream',
            schema: z.string(),
            examples: { failover: { summary: 'A failover', value: events } },
          },
        ],
      },
    },
    passes: ['caller'],
    errors: ['invalid_request', 'dependency_unavailable'],
    samples: [
      {
        lang: 'javascript',
        label: 'fetch',
        source: [
          `const events = await fetch('${BASE}/events')`,
          'const reader = events.body.pipeThrough(new TextDecoderStream()).getReader()',
          'console.log((await reader.read()).value)',
          'await reader.cancel()',
          '',
        ].join('\n'),
      },
    ],
  },
  getEnterpriseHealth: {
    tag: 'Health',
    summary: 'Get the health of the fleet',
    description:
      'Counts the servers by their health, which `monitoring.thresholds` derives from probes and from recent failed attempts, and lists each of them; the built-in demo server is left out. The process that answers and its dependencies are reported as in `/health/detailed`.',
    answers: {
      200: exampleAnswer('The fleet.', enterpriseHealth, 'All is well', {
        cluster_status: 'healthy',
        total_servers: 1,
        healthy_servers: 1,
        degraded_servers: 0,
        unhealthy_servers: 0,
        server_details: [{ ...server, latency_ms: 3, error_rate: null, reason: null }],
        last_updated: '2026-11-21T09:00:00.000Z',
        ...processParts,
      }),
    },
    passes: ['caller'],
    samples: [curlGet('/health/enterprise')],
  },
} as const satisfies Record<string, Operation>
