import { type Caller, isInstallationAdmin } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import { cacheClearRequest } from '#wire/cache.ts'
import type { Handler } from '../exchange.ts'
import { bodyOf } from '../parsed-body.ts'
import { onlyParams } from '../query.ts'
import { json } from '../reply.ts'
import type { Services } from '../services.ts'
import { callerOf } from '../tenant.ts'

/** `POST /management/cache/clear`: clears stored answers, all of them or those that the body selects. Only an
 * administrator of the whole installation may clear those of other tenants. */
export function clearCache(services: Services): Handler {
  const { cache, journal } = services
  return async c => {
    // What is cleared stands in the body: without one it is everything.
    onlyParams(c)
    const wished = await bodyOf(c, services, cacheClearRequest)
    const caller = callerOf(c)
    const tenant = tenantFor(caller, wished.tenant)
    const cleared = await cache.clear({ ...wished, tenant })
    const subject = JSON.stringify({ ...wished, tenant })
    journal.note({
      type: 'administered',
      action: 'cache-cleared',
      subject,
      tenant: tenant ?? caller.tenant,
      by: caller.id,
    })
    return json(c.env, { object: 'cache.cleared', cleared })
  }
}

/** The tenant whose answers are cleared; `undefined` = all tenants.
 *
 * @throws GatewayError `permission_denied` for another tenant than the caller's. */
function tenantFor(caller: Caller, named: string | undefined): string | undefined {
  if (isInstallationAdmin(caller)) return named
  if (named === undefined || named === caller.tenant) return caller.tenant
  throw new GatewayError('permission_denied', 'This key may act only for its own tenant.', { param: 'tenant' })
}
