import type { Caller } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import type { Access } from '../edge.ts'
import type { Exchange, Middleware } from '../exchange.ts'

/** Finds out who asks and whether the route is theirs. */
export function authenticate(access: Access): Middleware {
  return function authenticate(c, next) {
    const exchange = c.env
    const { request, edge } = exchange
    if (access === 'anyone') return next()
    const caller = edge.identify(request.headers)
    if (!(caller instanceof Promise)) return admit(exchange, access, caller, next)
    return caller.then(found => admit(exchange, access, found, next))
  }
}

function admit(
  exchange: Exchange,
  access: Access,
  caller: Caller | GatewayError,
  next: () => Promise<void>,
): Promise<void> {
  const { record, edge } = exchange
  if (caller instanceof GatewayError) throw caller
  exchange.caller = caller
  record.caller = caller.id
  record.tenant = caller.tenant
  const refusal = edge.authorize(caller, access)
  if (refusal !== null) throw refusal
  return next()
}
