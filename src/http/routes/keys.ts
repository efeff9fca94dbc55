import { GatewayError } from '#core/errors.ts'
import { keyCreation, keyPatch, keyRotation } from '#wire/keys.ts'
import type { GatewayContext, Handler } from '../exchange.ts'
import { bodyOf } from '../parsed-body.ts'
import { idParam, queryParam } from '../query.ts'
import { json } from '../reply.ts'
import type { Services } from '../services.ts'
import { actorOf, tenantOf } from '../tenant.ts'

const PAGE_DEFAULT = 50
const PAGE_MAX = 200

/** `GET /management/keys`: the keys of a tenant, page by page. */
export function listKeys({ keys }: Services): Handler {
  return async c => answer(c, await keys.list(tenantOf(c), pageOf(c)))
}

/** `POST /management/keys`: makes a key, and shows it this once. */
export function createKey(services: Services): Handler {
  return async c => {
    const actor = actorOf(c)
    return answer(c, await services.keys.create(actor, await bodyOf(c, services, keyCreation)), 201)
  }
}

/** `GET /management/keys/{id}`. */
export function showKey({ keys }: Services): Handler {
  return async c => answer(c, await keys.show(tenantOf(c), idParam(c)))
}

/** `PATCH /management/keys/{id}`: changes what the body names. */
export function updateKey(services: Services): Handler {
  return async c => {
    const actor = actorOf(c)
    return answer(c, await services.keys.update(actor, idParam(c), await bodyOf(c, services, keyPatch)))
  }
}

/** `POST /management/keys/{id}/rotate`: gives it another secret, and shows that this once. */
export function rotateKey(services: Services): Handler {
  return async c => {
    const actor = actorOf(c)
    const { overlap_seconds } = await bodyOf(c, services, keyRotation)
    return answer(c, await services.keys.rotate(actor, idParam(c), overlap_seconds * 1000))
  }
}

/** `DELETE /management/keys/{id}`: ends it for good. */
export function revokeKey({ keys }: Services): Handler {
  return async c => answer(c, await keys.revoke(actorOf(c), idParam(c)))
}

function answer(c: GatewayContext, body: unknown, status = 200): Response | Promise<Response> {
  c.env.headers['cache-control'] = 'no-store'
  return json(c.env, body, status)
}

function pageOf(c: GatewayContext): { readonly after: string | null; readonly limit: number } {
  const written = queryParam(c, 'limit')
  const limit = written === null ? PAGE_DEFAULT : Number(written)
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX) {
    throw new GatewayError('invalid_request', `limit must be an integer from 1 to ${PAGE_MAX}.`, { param: 'limit' })
  }
  return { after: queryParam(c, 'after'), limit }
}
