import { z } from 'zod'
import { loadMetrics } from './orchestration.ts'

const words = z.record(z.string(), z.string())

/** What Alertmanager sends, version 4; only what is read of it is checked. */
export const alertGroup = z
  .looseObject({
    version: z.literal('4'),
    status: z.enum(['firing', 'resolved']),
    alerts: z
      .array(
        z.looseObject({
          status: z.enum(['firing', 'resolved']),
          labels: words.describe('`server` names the server; `action: drain` asks to drain it.'),
          annotations: words.default({}),
          fingerprint: z.string().min(1).max(200).optional(),
        }),
      )
      .max(1000),
  })
  .describe("Alertmanager's webhook, version 4.")
export type AlertGroup = z.infer<typeof alertGroup>

/** What a monitor says of one server. */
export const statusReport = z
  .strictObject({
    server_id: z.string().min(1).max(64).describe('The id of the server.'),
    status: z
      .enum(['healthy', 'degraded', 'unhealthy'])
      .describe('`unhealthy` drains the server until another status is reported.'),
    load_metrics: loadMetrics.optional(),
  })
  .describe('The status of a server as a monitor sees it.')
export type StatusReport = z.infer<typeof statusReport>

/** The answer to a webhook. */
export const webhookReceipt = z.object({
  received: z.literal(true),
  applied: z.int().describe('How many servers were changed.'),
})
