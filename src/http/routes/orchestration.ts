import { heartbeat, registration } from '#wire/orchestration.ts'
import type { Handler } from '../exchange.ts'
import { bodyOf } from '../parsed-body.ts'
import { idParam, onlyParams } from '../query.ts'
import { json } from '../reply.ts'
import type { Services } from '../services.ts'
import { callerOf } from '../tenant.ts'

/** `GET /orchestration/servers/list`: every server there is. */
export function listServers({ orchestration }: Services): Handler {
  return c => json(c.env, { servers: orchestration.list() })
}

/** `GET /orchestration/servers/{id}/health`. */
export function serverHealth({ orchestration }: Services): Handler {
  return c => json(c.env, orchestration.show(idParam(c)))
}

/** `POST /orchestration/servers/register`: adds a server, or changes one that is registered. */
export function registerServer(services: Services): Handler {
  return async c => {
    const wished = await bodyOf(c, services, registration)
    return json(c.env, await services.orchestration.register(callerOf(c).id, wished))
  }
}

/** `POST /orchestration/servers/{id}/heartbeat`. */
export function beatServer(services: Services): Handler {
  return async c => {
    const { load_metrics } = await bodyOf(c, services, heartbeat)
    return json(c.env, await services.orchestration.beat(idParam(c), load_metrics))
  }
}

/** `DELETE /orchestration/servers/{id}`. */
export function removeServer({ orchestration }: Services): Handler {
  return async c => {
    onlyParams(c)
    await orchestration.remove(callerOf(c).id, idParam(c))
    return json(c.env, { server_id: idParam(c), removed: true })
  }
}

/** `POST /orchestration/failover/{id}` and `/orchestration/recover/{id}`. */
export function markServer({ orchestration }: Services, status: 'active' | 'draining'): Handler {
  return async c => {
    onlyParams(c)
    return json(c.env, await orchestration.mark(callerOf(c).id, idParam(c), status))
  }
}

/** `GET /health/enterprise`: the fleet as a whole, and this process. */
export function enterpriseHealth({ orchestration, health, process }: Services): Handler {
  return async c => {
    const parts = await health.parts()
    return json(c.env, { ...orchestration.health(), ...parts, workers: process.workers() })
  }
}
