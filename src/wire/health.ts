import { z } from 'zod'

const overallHealth = z
  .enum(['healthy', 'degraded', 'unhealthy'])
  .describe('`degraded` when something is wrong and models still answer; `unhealthy` when none does.')

const report = {
  status: overallHealth,
  gateway: z.string().meta({ description: 'The name of this gateway.', examples: ['citadel-gateway'] }),
  environment: z.string().optional().describe('The installation, such as production; absent where it has no name.'),
  version: z.string().describe('Its version.'),
  uptime: z.number().describe('Seconds since it started.'),
  timestamp: z.iso.datetime().describe('When this was written.'),
  models: z.array(z.string()).describe('The public names of the models that are offered.'),
  services: z.record(z.string(), z.string()).describe('Parts of the gateway, and how each is.'),
}

const serverCounts = z.object({
  total: z.int().describe('Servers that are configured or were found.'),
  healthy: z.int().describe('Those that the last probes found well, and not slow.'),
})

/** The answer of `GET /health`. */
export const healthReport = z
  .object({ ...report, servers: serverCounts })
  .meta({ id: 'Health', description: 'How the gateway is: for people, dashboards and simple monitors.' })

const level = z.enum(['healthy', 'degraded', 'unhealthy'])
const errorRate = z
  .number()
  .nullable()
  .describe('The share of the last minute that failed, 0 to 1; null of fewer than twenty.')

const serverReport = z
  .object({
    id: z.string().describe('The id of the server.'),
    kind: z.string().describe('Its dialect.'),
    status: z.enum(['unknown', ...level.options]).describe('What the last probes and its answers say.'),
    latency_ms: z.number().nullable().describe('How long the last probe took; null before the first one.'),
    error_rate: errorRate,
    last_probe: z.iso.datetime().nullable().describe('When it was last probed.'),
    last_seen: z.iso.datetime().nullable().describe('When a probe last succeeded.'),
    reason: z.string().nullable().describe('Why the last probe failed; null when it did not.'),
    models: z.array(z.string()).describe('The public names of the models that it answers.'),
    in_flight: z.int().describe('Requests that it is answering now.'),
  })
  .meta({ id: 'ServerHealth', description: 'One server as the probes and the calls see it.' })

const dependency = z
  .object({
    status: z.enum([...level.options, 'not_configured']).describe('By `thresholds.response_time`.'),
    available: z.boolean().describe('Whether it answered just now.'),
    latency_ms: z.number().nullable().describe('How long that took; null when it did not.'),
  })
  .meta({ id: 'DependencyHealth', description: 'Something that the gateway keeps state in.' })

// No tuple: generators of clients refuse a list that says of its items only by their place.
const threshold = z.array(z.number()).length(2).describe('Above the first degraded, above the second unhealthy.')

/** How the process is and what it depends on. */
export const processHealth = {
  memory: z.object({
    status: level.describe('By `thresholds.memory`.'),
    rss_bytes: z.int().describe('Memory of the process.'),
    heap_used_bytes: z.int().describe('Memory in use by JavaScript values.'),
    limit_bytes: z.number().describe('What the process may use.'),
    used: z.number().describe('The share of that, 0 to 1.'),
  }),
  cpu: z.object({
    user_seconds: z.number().describe('Processor time spent in the gateway since it started.'),
    system_seconds: z.number().describe('Processor time spent in the system for it.'),
    cores: z.number().describe('Processors that it may use.'),
    used: z.number().describe('The share of them in use since the last report, 0 to 1.'),
  }),
  errors: z.object({
    status: level.describe('By `thresholds.error_rate`.'),
    rate: errorRate,
    requests: z.int().describe('Model calls of the last minute.'),
  }),
  dependencies: z
    .record(z.string(), dependency)
    .describe('`database`, `redis` and `vectors`, asked for this report; without them model calls still go on.'),
  thresholds: z
    .object({ response_time: threshold, error_rate: threshold, memory: threshold })
    .describe('`monitoring.thresholds`; times in milliseconds.'),
  workers: z.int().describe('Processes that share the port.'),
}

/** The answer of `GET /health/detailed`. */
export const detailedHealthReport = z
  .object({
    ...report,
    servers: z.array(serverReport),
    ...processHealth,
    event_loop_lag_ms: z.number().describe('How late timers are: a busy process is late.'),
  })
  .meta({ id: 'DetailedHealth', description: 'How the gateway, its servers and what it depends on are.' })

/** The answer of `GET /livez`. */
export const liveness = z
  .object({ status: z.literal('ok') })
  .meta({ id: 'Liveness', description: 'The process runs and its event loop turns.' })

/** The answer of `GET /readyz`. */
export const readiness = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    reason: z.string().nullable().describe('Why it is not ready; null when it is.'),
  })
  .meta({ id: 'Readiness', description: 'Whether this process should get requests.' })
