import { GatewayError } from '#core/errors.ts'
import { explainRequest, maySee } from '#gateway/management/explain.ts'
import type { Handler } from '../exchange.ts'
import { privateJson } from '../reply.ts'
import type { Services } from '../services.ts'

/** `GET /v1/requests/{id}`: what happened to a request. A request of another caller is answered as if it did not
 * exist. */
export function requestReport(services: Services): Handler {
  return c => {
    const { caller, record } = c.env
    const id = c.req.param('id') ?? ''
    const running = services.active.find(id)
    const found = running ?? services.history.find(id)
    if (caller === null || found === null || !maySee(caller, record.address, found)) {
      throw new GatewayError('not_found', 'No request of yours with this id is remembered.')
    }
    return privateJson(c.env, explainRequest(found, running !== null, services.clock))
  }
}
