import { z } from 'zod'
import { processHealth } from './health.ts'

const name = z
  .string()
  .regex(/^[a-zA-Z0-9][\w.-]{0,63}$/, 'expected 1 to 64 letters, digits, dots, dashes or underscores')
const names = (word: z.ZodString) => z.array(word.min(1).max(200)).max(1000)
const path = z
  .string()
  .max(500)
  .regex(/^\/(?!\/)[^\s?#\\]*$/, 'expected a path such as /health')

/** How a server is doing, as it says itself. */
export const loadMetrics = z
  .object({
    response_time_ms: z.number().min(0).optional().describe('How long the server takes to answer, in milliseconds.'),
    cpu_percent: z.number().min(0).max(100).optional().describe('Use of the processor, 0 to 100.'),
    memory_percent: z.number().min(0).max(100).optional().describe('Use of the memory, 0 to 100.'),
    error_rate: z.number().min(0).max(1).optional().describe('The share of requests that failed, 0 to 1.'),
    queue: z.int().min(0).optional().describe('How many requests wait.'),
  })
  .describe('The load of the server; values that it does not know are absent.')
export type LoadMetrics = z.infer<typeof loadMetrics>

/** What a server says of itself in words of its own. */
const wordsOf = (word: z.ZodString) => ({
  role: word
    .max(100)
    .nullable()
    .default(null)
    .describe('What the server is for, such as `primary`; `gateway` for another gateway.'),
  capabilities: names(word).default([]).describe('What the server can do, in words of its own, such as `chat`.'),
  services: names(word).default([]).describe('What runs on the server besides models.'),
  models: names(word)
    .nullable()
    .default(null)
    .describe('The models that the server offers; null: the gateway asks the server.'),
})

/** What a server says of itself when it registers, as it is stored: of earlier ones every character was taken. */
export const serverSettings = z.object({
  ...wordsOf(z.string()),
  weight: z
    .number()
    .min(0)
    .max(1_000_000)
    .default(1)
    .describe('The share of the load compared with other servers: 2 gets twice as much as 1.'),
  max_concurrent: z
    .int()
    .min(0)
    .default(0)
    .describe('How many requests the server gets at the same time; 0: no limit.'),
  credential: name
    .nullable()
    .default(null)
    .describe(
      'The name of the entry of `orchestration.credentials` whose key the gateway sends to the server; null: none.',
    ),
  health_endpoint: path
    .nullable()
    .default(null)
    .describe('The path of health probes, such as `/health`; null: the usual one of its kind.'),
  models_endpoint: path
    .nullable()
    .default(null)
    .describe('The path of the list of models, such as `/api/tags`; null: the usual one of its kind.'),
  metrics_endpoint: path
    .nullable()
    .default(null)
    .describe('The path of the metrics of the server. The gateway stores it and does not use it.'),
})
export type ServerSettings = z.infer<typeof serverSettings>

const { health_endpoint, models_endpoint, metrics_endpoint, ...about } = serverSettings.shape

// No pattern: a JSON Schema has no place for the flag that this one needs.
const printable = z
  .string()
  .refine(value => !/[\p{Cc}\p{Cs}]/u.test(value), 'expected no control characters and no halves of characters')

/** The body that registers a server. */
export const registration = z
  .strictObject({
    server_info: z.strictObject({
      id: name.describe(
        'The name of the server in targets, logs and metrics. Registering it again replaces its settings.',
      ),
      hostname: z.string().min(1).max(253).describe('The host name or address of the server, without a port.'),
      port: z.int().min(1).max(65_535),
      scheme: z.enum(['http', 'https']).default('http'),
      kind: z
        .string()
        .min(1)
        .max(64)
        .optional()
        .describe(
          'The API that the server speaks, by the name of its kind; that of OpenAI when absent. A `service` is only watched.',
        ),
      ...about,
      ...wordsOf(printable),
    }),
    health_endpoint,
    models_endpoint,
    metrics_endpoint,
  })
  .describe('The server that registers.')
export type Registration = z.infer<typeof registration>

/** The body of a heartbeat. */
export const heartbeat = z
  .strictObject({ load_metrics: loadMetrics.nullable().default(null) })
  .prefault({})
  .describe('The load of the server, if it knows it.')

const time = z.iso.datetime()

/** A server of the fleet. */
export const serverView = z
  .object({
    server_id: z.string(),
    hostname: z.string(),
    port: z.int(),
    kind: z.string().describe('The API that the server speaks; a `service` is only watched.'),
    role: z.string().nullable(),
    origin: z
      .enum(['configuration', 'environment', 'discovery', 'built-in', 'registration'])
      .describe('How the gateway knows the server.'),
    status: z.enum(['active', 'draining']).describe('Whether the server gets new requests; `draining` gets none.'),
    models: z.array(z.string()).describe('The public names of the models that the server answers for.'),
    services: z.array(z.string()),
    health_status: z
      .enum(['healthy', 'degraded', 'unhealthy'])
      .describe('The health by the last probes; also `degraded` before the first probe.'),
    last_seen: time.nullable().describe('When a probe last succeeded or the server last sent a heartbeat.'),
    capabilities: z.array(z.string()),
    load_metrics: loadMetrics.extend({
      in_flight: z.int().describe('Requests of this gateway process that the server is answering now.'),
    }),
  })
  .meta({ id: 'Server', description: 'A server of the fleet.' })
export type ServerView = z.infer<typeof serverView>

/** All servers. */
export const serverList = z.object({ servers: z.array(serverView) })

/** What became of a server that was removed. */
export const removedServer = z.object({ server_id: z.string(), removed: z.literal(true) })

/** What a failover, or its end, came to. */
export const failoverView = z.object({
  server_id: z.string(),
  status: z.enum(['active', 'draining']),
  in_flight: z.int().describe('Requests of this gateway process that the server is still answering.'),
})

/** The health of the whole fleet. */
export const enterpriseHealth = z
  .object({
    cluster_status: z.enum(['healthy', 'degraded', 'unhealthy']),
    total_servers: z.int(),
    healthy_servers: z.int(),
    degraded_servers: z.int(),
    unhealthy_servers: z.int(),
    server_details: z.array(
      serverView.extend({
        latency_ms: z
          .number()
          .nullable()
          .describe('How long the last probe took, in milliseconds; null before the first one.'),
        error_rate: z
          .number()
          .nullable()
          .describe('The share of recent attempts at the server that failed, 0 to 1; null when there were too few.'),
        reason: z.string().nullable().describe('Why the last probe failed; null when it did not.'),
      }),
    ),
    last_updated: time,
    ...processHealth,
  })
  .meta({ id: 'EnterpriseHealth', description: 'The health of the whole fleet, and of the process that answers.' })
