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
    response_time_ms: z.number().min(0).optional().describe('How long it takes to answer.'),
    cpu_percent: z.number().min(0).max(100).optional(),
    memory_percent: z.number().min(0).max(100).optional(),
    error_rate: z.number().min(0).max(1).optional().describe('Failed requests, 0 to 1.'),
    queue: z.int().min(0).optional().describe('Requests that wait.'),
  })
  .describe('How it is doing; what it does not know it leaves out.')
export type LoadMetrics = z.infer<typeof loadMetrics>

/** What a server says of itself in words of its own. */
const wordsOf = (word: z.ZodString) => ({
  role: word
    .max(100)
    .nullable()
    .default(null)
    .describe('What it is for, such as primary; `gateway` for another gateway.'),
  capabilities: names(word).default([]).describe('What it can do, in its own words.'),
  services: names(word).default([]).describe('What runs there besides models.'),
  models: names(word).nullable().default(null).describe('The models that it offers; null to ask it.'),
})

/** What a server says of itself when it registers, as it is stored: of earlier ones every character was taken. */
export const serverSettings = z.object({
  ...wordsOf(z.string()),
  weight: z.number().min(0).max(1_000_000).default(1).describe('Its share of the load beside other servers.'),
  max_concurrent: z.int().min(0).default(0).describe('Requests at once; 0 for no limit.'),
  credential: name
    .nullable()
    .default(null)
    .describe('The name of one of `orchestration.credentials`; never a key itself.'),
  health_endpoint: path.nullable().default(null).describe('Where it is probed.'),
  models_endpoint: path.nullable().default(null).describe('Where it lists its models.'),
  metrics_endpoint: path.nullable().default(null).describe('Where it shows its metrics; passed on as it is.'),
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
      id: name.describe('Its name in targets, logs and metrics; registering it again changes it.'),
      hostname: z.string().min(1).max(253).describe('A name or an address, without a port.'),
      port: z.int().min(1).max(65_535),
      scheme: z.enum(['http', 'https']).default('http'),
      kind: z
        .string()
        .min(1)
        .max(64)
        .optional()
        .describe('Its dialect, that of OpenAI when absent; `service` is only watched.'),
      ...about,
      ...wordsOf(printable),
    }),
    health_endpoint,
    models_endpoint,
    metrics_endpoint,
  })
  .describe('A server that wants to be used.')
export type Registration = z.infer<typeof registration>

/** The body of a heartbeat. */
export const heartbeat = z
  .strictObject({ load_metrics: loadMetrics.nullable().default(null) })
  .prefault({})
  .describe('A sign of life.')

const time = z.iso.datetime()

/** A server of the fleet. */
export const serverView = z
  .object({
    server_id: z.string(),
    hostname: z.string(),
    port: z.int(),
    kind: z.string().describe('Its dialect; `service` is only watched.'),
    role: z.string().nullable(),
    origin: z
      .enum(['configuration', 'environment', 'discovery', 'built-in', 'registration'])
      .describe('Who told of it.'),
    status: z.enum(['active', 'draining']).describe('Whether it takes new requests.'),
    models: z.array(z.string()).describe('The public names of the models that it answers.'),
    services: z.array(z.string()),
    health_status: z
      .enum(['healthy', 'degraded', 'unhealthy'])
      .describe('What the last probes say; degraded also while it was never probed.'),
    last_seen: time.nullable().describe('When a probe last succeeded or it last gave a sign of life.'),
    capabilities: z.array(z.string()),
    load_metrics: loadMetrics.extend({ in_flight: z.int().describe('Requests of this process that it is answering.') }),
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
  in_flight: z.int().describe('Requests of this process that are still going on there.'),
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
        latency_ms: z.number().nullable().describe('How long the last probe took; null before the first one.'),
        error_rate: z.number().nullable().describe('The share of its attempts that failed of late; null of too few.'),
        reason: z.string().nullable().describe('Why the last probe failed; null when it did not.'),
      }),
    ),
    last_updated: time,
    ...processHealth,
  })
  .meta({ id: 'EnterpriseHealth', description: 'The health of the whole fleet, and of the process that answers.' })
