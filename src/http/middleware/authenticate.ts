import type { Caller } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import type { Access } from '../edge.ts'
import type { Exchange, Middleware } from '../exchange.ts'

/** Identifies the caller by its key or token, and checks that its role may use the route.
 *
 * @param access Who may use the route. `anyone` and `signed` are not checked here: the handler of a signed route checks
 * the signature itself. */
export function authenticate(access: Access): Middleware {
  return function authenticate(c, next) {
    const exchange = c.env
    const { request, edge, record } = exchange
    if (access === 'anyone' || access === 'signed') return next()
    const caller = edge.identify(request.headers, record.address, access)
    if (!(caller instanceof Promise)) return admit(exchange, access, caller, next)
    return caller.then(found => admit(exchange, access, found, next))
  }
}

function admit(
  exchange: Exchange,
  access: Exclude<Access, 'signed'>,
  caller: Caller | GatewayError,
  next: () => Promise<void>,
): Promise<void> {
  const { record, edge } = exchange
  if (caller instanceof GatewayError) throw noted(exchange, caller)
  exchange.caller = caller
  record.caller = caller.id
  record.tenant = caller.tenant
  const refusal = edge.authorize(caller, access)
  if (refusal !== null) throw noted(exchange, refusal)
  return next()
}

/** Counts a refused credential against the address that sent it, so that guessing keys is slowed down.
 *
 * @returns The refusal, to be thrown. */
export function noted({ edge, record, caller }: Exchange, refusal: GatewayError): GatewayError {
  if (refusal.code === 'invalid_api_key') edge.refused(record.address, null)
  if (refusal.code === 'invalid_signature') edge.refused(record.address, caller)
  return refusal
}
