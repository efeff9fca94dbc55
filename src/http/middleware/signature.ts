import type { Clock } from '#core/clock.ts'
import type { GatewayError } from '#core/errors.ts'
import { readBody } from '../body.ts'
import type { Exchange, Middleware } from '../exchange.ts'
import { noted } from './authenticate.ts'

/** Lets a caller whose requests must be signed in with a good signature only. For such a caller the body is read here,
 * and kept for the handler. */
export function signature(clock: Clock, bodyRefusal: () => GatewayError | null): Middleware {
  return function signature(c, next) {
    return c.env.caller?.signs === true ? check(c.env, clock, bodyRefusal).then(next) : next()
  }
}

async function check(exchange: Exchange, clock: Clock, bodyRefusal: () => GatewayError | null): Promise<void> {
  const { request, edge, caller, record } = exchange
  if (caller === null) return
  const wait = await edge.maySign(record.address, caller)
  if (wait !== null) throw wait
  const { headers, method, url } = request
  exchange.text = await readBody(exchange, clock, bodyRefusal)
  const refusal = await edge.checkSignature(caller, {
    method,
    path: url.slice(url.indexOf('/', url.indexOf('://') + 3)),
    timestamp: headers.get('x-citadel-timestamp'),
    signature: headers.get('x-citadel-signature'),
    body: exchange.text,
  })
  if (refusal !== null) throw noted(exchange, refusal)
}
