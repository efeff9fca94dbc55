import { readBody } from '../body.ts'
import type { Handler } from '../exchange.ts'
import { json } from '../reply.ts'
import type { Services } from '../services.ts'

/** `POST /webhooks/{type}`: what other systems tell the gateway.
 *
 * @param type The kind; the word in the path when absent. */
export function webhook(services: Services, type?: string): Handler {
  return async c => {
    const { headers } = c.env.request
    const body = () => readBody(c.env, services.clock)
    const applied = await services.receive({ type: type ?? c.req.param('type') ?? '', headers, body })
    return json(c.env, { received: true, applied })
  }
}
