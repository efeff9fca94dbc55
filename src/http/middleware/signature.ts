import type { Clock } from '#core/clock.ts'
import { type Room, readBody } from '../body.ts'
import type { Exchange, Middleware } from '../exchange.ts'
import { noted } from './authenticate.ts'

/** Checks the signature of a request whose caller must sign; other requests pass. The signature covers the body, which is
 * therefore read here and kept on the exchange for the handler.
 *
 * @param room The room for bodies in memory.
 * @throws GatewayError `invalid_signature`, or the refusal of an address that has sent too many wrong ones. */
export function signature(clock: Clock, room: Room): Middleware {
  return function signature(c, next) {
    return c.env.caller?.signs === true ? check(c.env, clock, room).then(next) : next()
  }
}

async function check(exchange: Exchange, clock: Clock, room: Room): Promise<void> {
  const { request, edge, caller, record } = exchange
  if (caller === null) return
  const wait = await edge.maySign(record.address, caller)
  if (wait !== null) throw wait
  const { headers, method, url } = request
  exchange.text = await readBody(exchange, clock, room)
  const refusal = await edge.checkSignature(caller, {
    method,
    path: url.slice(url.indexOf('/', url.indexOf('://') + 3)),
    timestamp: headers.get('x-citadel-timestamp'),
    signature: headers.get('x-citadel-signature'),
    body: exchange.text,
  })
  if (refusal !== null) throw noted(exchange, refusal)
}
