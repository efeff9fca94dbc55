import { type Caller, isInstallationAdmin } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import { tenantName } from '#wire/keys.ts'
import type { GatewayContext } from './exchange.ts'
import { queryParam } from './query.ts'

/** The one tenant that a management call is about: the caller's own, or the one that an administrator of the whole
 * installation names in the query.
 *
 * @throws GatewayError `permission_denied` for somebody else's. */
export function tenantOf(c: GatewayContext): string {
  const caller = callerOf(c)
  const named = queryParam(c, 'tenant')
  if (named === null || named === caller.tenant) return caller.tenant
  if (!isInstallationAdmin(caller)) {
    throw new GatewayError('permission_denied', 'This key may act only for its own tenant.', { param: 'tenant' })
  }
  const checked = tenantName.safeParse(named)
  if (!checked.success) {
    throw new GatewayError('invalid_request', `${checked.error.issues[0]?.message}.`, { param: 'tenant' })
  }
  return named
}

/** Who acts, and for whom. */
export function actorOf(c: GatewayContext): { readonly by: string; readonly tenant: string } {
  return { by: callerOf(c).id, tenant: tenantOf(c) }
}

/** Who asks, on a route that needs somebody. */
export function callerOf(c: GatewayContext): Caller {
  const { caller } = c.env
  if (caller === null) throw new GatewayError('internal_error', 'The route has no caller.')
  return caller
}
