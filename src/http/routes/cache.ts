import { type Caller, isInstallationAdmin } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import { parseJson } from '#lib/json.ts'
import { cacheClearRequest } from '#wire/cache.ts'
import { readBody } from '../body.ts'
import type { Handler } from '../exchange.ts'
import { json } from '../reply.ts'
import type { Services } from '../services.ts'
import { callerOf } from '../tenant.ts'

/** `POST /management/cache/clear`: clears stored answers, all of them or those that the body selects. Only an
 * administrator of the whole installation may clear those of other tenants. */
export function clearCache({ cache, clock, journal }: Services): Handler {
  return async c => {
    const text = await readBody(c.env, clock)
    const selection = cacheClearRequest.safeParse(text.trim() === '' ? {} : (parseJson(text) ?? null))
    if (!selection.success) {
      const details = selection.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }))
      throw new GatewayError('invalid_request', 'The body takes model, tenant and key, each a name.', { details })
    }
    const caller = callerOf(c)
    const tenant = tenantFor(caller, selection.data.tenant)
    const cleared = await cache.clear({ ...selection.data, tenant })
    const subject = JSON.stringify({ ...selection.data, tenant })
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
