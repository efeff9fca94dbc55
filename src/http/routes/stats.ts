import type { Handler } from '../exchange.ts'
import { onlyParams } from '../query.ts'
import { privateJson } from '../reply.ts'
import type { Services } from '../services.ts'
import { tenantOf } from '../tenant.ts'

/** `GET /management/stats`: sums of a tenant's model calls since this process started. */
export function managementStats({ stats, process }: Services): Handler {
  return c => {
    onlyParams(c, 'tenant')
    const tenant = tenantOf(c)
    return privateJson(c.env, {
      tenant,
      since: new Date(process.startedAt).toISOString(),
      uptime_seconds: Math.round(process.uptimeMs()) / 1000,
      ...stats(tenant),
    })
  }
}
