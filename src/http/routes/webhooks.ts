import { GatewayError } from '#core/errors.ts'
import { sha256 } from '#lib/hash.ts'
import { readBody } from '../body.ts'
import type { Handler } from '../exchange.ts'
import { json } from '../reply.ts'
import type { Services } from '../services.ts'

/** Wrong passwords of all kinds are counted together. By kind, a sender could invent more kinds than are remembered,
 * and would never be held up. */
const SENDER = { id: 'webhook:' }

/** `POST /webhooks/{type}`: receives messages of other systems. An address that sends wrong passwords has to wait. The
 * last good password of each kind is exempt, so that its sender does not suffer from another one behind the same
 * address.
 *
 * @param type The kind; taken from the path when absent. */
export function webhook(services: Services, type?: string): Handler {
  const good = new Map<string, string>()
  return async c => {
    const { request, edge, record } = c.env
    const { headers } = request
    const kind = type ?? c.req.param('type') ?? ''
    const credential = headers.get('authorization')
    const shown = credential === null ? null : sha256(credential)
    const wait = shown === null || shown === good.get(kind) ? null : await edge.maySign(record.address, SENDER)
    if (wait !== null) throw wait
    const body = () => readBody(c.env, services.clock, services.load.bodies, false)
    try {
      const applied = await services.receive({ type: kind, headers, body })
      if (shown !== null) good.set(kind, shown)
      return json(c.env, { received: true, applied })
    } catch (thrown) {
      const isWrong = thrown instanceof GatewayError && thrown.code === 'invalid_signature'
      if (isWrong && shown !== null) edge.refused(record.address, SENDER)
      throw thrown
    }
  }
}
