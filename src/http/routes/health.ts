import {
  canServe,
  countServers,
  fleetStatus,
  listModelStatus,
  listProviders,
  listServers,
} from '#gateway/management/fleet.ts'
import { levelOf, overallOf, worstOf } from '#gateway/management/health.ts'
import type { Exchange, Handler } from '../exchange.ts'
import { json } from '../reply.ts'
import type { Services } from '../services.ts'

/** `GET /health`: 200 while at least something can be served, 503 when nothing can. */
export function health(services: Services): Handler {
  return c => {
    const body = summary(services)
    mark(c.env)
    return json(c.env, body, body.status === 'unhealthy' ? 503 : 200)
  }
}

/** `GET /health/detailed`: also every server, the process and its dependencies. */
export function healthDetailed(services: Services): Handler {
  return async c => {
    const parts = await services.health.parts()
    const [start, lag] = [summary(services), await loopLag()]
    const servers = listServers(services.fleet()).map(server => {
      const error_rate = services.health.errorRate(server.id)
      const level = levelOf(error_rate ?? 0, parts.thresholds.error_rate)
      const status =
        level === 'healthy' || server.status === 'unknown' ? server.status : worstOf([server.status, level])
      return { ...server, status, error_rate }
    })
    const body = {
      ...start,
      ...parts,
      status: overallOf(start.status, parts),
      servers,
      workers: services.process.workers(),
      event_loop_lag_ms: lag,
    }
    return json(c.env, body, body.status === 'unhealthy' ? 503 : 200)
  }
}

/** `GET /livez`: 200 whenever the event loop runs. */
export function livez(): Handler {
  return c => json(c.env, { status: 'ok' })
}

/** `GET /readyz`: 200 while at least one model can be served and the gateway is not stopping. */
export function readyz(services: Services): Handler {
  return c => {
    const reason = !services.serving()
      ? 'the gateway is shutting down'
      : services.load.exhausted()
        ? 'the gateway is out of memory'
        : canServe(services.fleet())
          ? null
          : 'no model can be served now'
    return json(c.env, { status: reason === null ? 'ready' : 'not_ready', reason }, reason === null ? 200 : 503)
  }
}

/** `GET /models/status`: every model with its targets. */
export function modelsStatus(services: Services): Handler {
  return c => json(c.env, { models: listModelStatus(services.fleet()) })
}

/** `GET /v1/providers`: the servers by kind. */
export function providers(services: Services): Handler {
  return c => json(c.env, { object: 'list', data: listProviders(services.fleet()) })
}

/** Marks the answer as a gateway's, so that another gateway does not take it for a model server. */
export function mark(exchange: Exchange): void {
  exchange.headers['x-citadel-gateway'] = exchange.edge.version
}

function summary(services: Services) {
  const fleet = services.fleet()
  const { serviceName, environment, version } = services.edge()
  const now = services.clock.time()
  return {
    status: fleetStatus(fleet),
    gateway: serviceName,
    ...(environment !== null && { environment }),
    version,
    uptime: Math.floor(services.process.uptimeMs() / 1000),
    timestamp: new Date(now).toISOString(),
    models: [...fleet.snapshot.models.keys()].sort(),
    services: { api: services.serving() ? 'healthy' : 'draining' },
    servers: countServers(fleet),
  }
}

/** How late a timer fires, in milliseconds: the more, the busier the process. */
async function loopLag(): Promise<number> {
  const askedAt = performance.now()
  await new Promise(resolve => setTimeout(resolve, 1))
  return Math.max(0, Math.round(performance.now() - askedAt - 1))
}
