import type { Handler } from '../exchange.ts'
import { text } from '../reply.ts'
import type { Services } from '../services.ts'

/** `GET /metrics`: the Prometheus exposition. */
export function metricsText(services: Services): Handler {
  return async c => text(c.env, await services.metrics.render(), services.metrics.contentType)
}
