import { z } from 'zod'

const overallHealth = z
  .enum(['healthy', 'degraded', 'unhealthy'])
  .describe('`degraded` when something is wrong and models still answer; `unhealthy` when none does.')

const report = {
  status: overallHealth,
  gateway: z.string().meta({ description: 'The name of this gateway.', examples: ['citadel-gateway'] }),
  version: z.string().describe('Its version.'),
  uptime: z.number().describe('Seconds since it started.'),
  timestamp: z.iso.datetime().describe('When this was written.'),
  models: z.array(z.string()).describe('The public names of the models that are offered.'),
  services: z.record(z.string(), z.string()).describe('Parts of the gateway, and how each is.'),
}

const serverCounts = z.object({
  total: z.int().describe('Servers that are configured or were found.'),
  healthy: z.int().describe('Those that can take requests.'),
})

/** The answer of `GET /health`. */
export const healthReport = z
  .object({ ...report, servers: serverCounts })
  .meta({ id: 'Health', description: 'How the gateway is: for people, dashboards and simple monitors.' })

const serverReport = z
  .object({
    id: z.string().describe('The id of the server.'),
    kind: z.string().describe('Its dialect.'),
    status: z.enum(['unknown', 'healthy', 'degraded', 'unhealthy']).describe('What the last probes say.'),
    latency_ms: z.number().nullable().describe('How long the last probe took; null before the first one.'),
    last_probe: z.iso.datetime().nullable().describe('When it was last probed.'),
    last_seen: z.iso.datetime().nullable().describe('When a probe last succeeded.'),
    reason: z.string().nullable().describe('Why the last probe failed; null when it did not.'),
    models: z.array(z.string()).describe('The public names of the models that it answers.'),
    in_flight: z.int().describe('Requests that it is answering now.'),
  })
  .meta({ id: 'ServerHealth', description: 'One server as the probes see it.' })

/** The answer of `GET /health/detailed`. */
export const detailedHealthReport = z
  .object({
    ...report,
    servers: z.array(serverReport),
    memory: z.object({
      rss_bytes: z.int().describe('Memory of the process.'),
      heap_used_bytes: z.int().describe('Memory in use by JavaScript values.'),
    }),
    cpu: z.object({
      user_seconds: z.number().describe('Processor time spent in the gateway since it started.'),
      system_seconds: z.number().describe('Processor time spent in the system for it.'),
    }),
    dependencies: z
      .record(z.string(), z.object({ available: z.boolean().describe('Whether it answered when it was last asked.') }))
      .describe('What the gateway keeps state in outside the process, by name; empty when it is all in memory.'),
    workers: z.int().describe('Processes that share the port.'),
    event_loop_lag_ms: z.number().describe('How late timers are: a busy process is late.'),
  })
  .meta({ id: 'DetailedHealth', description: 'How the gateway and each of its servers are.' })

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
