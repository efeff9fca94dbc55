import { keyCreation, keyPatch, keyRotation } from '#wire/keys.ts'
import type { GatewayContext, Handler } from '../exchange.ts'
import { bodyOf } from '../parsed-body.ts'
import { idParam, limitParam, onlyParams, queryParam } from '../query.ts'
import { privateJson } from '../reply.ts'
import type { Services } from '../services.ts'
import { actorOf, tenantOf } from '../tenant.ts'

const PAGE = { usual: 50, most: 200 }

/** `GET /management/keys`: the keys of a tenant, page by page. */
export function listKeys({ keys }: Services): Handler {
  return async c => {
    onlyParams(c, 'tenant', 'limit', 'after')
    const tenant = tenantOf(c)
    const page = { after: queryParam(c, 'after') || null, limit: limitParam(c, PAGE) }
    return privateJson(c.env, await keys.list(tenant, page))
  }
}

/** `POST /management/keys`: makes a key; the only answer that shows it. */
export function createKey(services: Services): Handler {
  return async c => {
    const actor = actorIn(c)
    return privateJson(c.env, await services.keys.create(actor, await bodyOf(c, services, keyCreation)), 201)
  }
}

/** `GET /management/keys/{id}`. */
export function showKey({ keys }: Services): Handler {
  return async c => privateJson(c.env, await keys.show(actorIn(c).tenant, idParam(c)))
}

/** `PATCH /management/keys/{id}`: changes the fields that the body has. */
export function updateKey(services: Services): Handler {
  return async c => {
    const actor = actorIn(c)
    return privateJson(c.env, await services.keys.update(actor, idParam(c), await bodyOf(c, services, keyPatch)))
  }
}

/** `POST /management/keys/{id}/rotate`: gives a key a new secret; the only answer that shows it. */
export function rotateKey(services: Services): Handler {
  return async c => {
    const actor = actorIn(c)
    const { overlap_seconds } = await bodyOf(c, services, keyRotation)
    return privateJson(c.env, await services.keys.rotate(actor, idParam(c), overlap_seconds * 1000))
  }
}

/** `DELETE /management/keys/{id}`: revokes a key for ever. */
export function revokeKey({ keys }: Services): Handler {
  return async c => privateJson(c.env, await keys.revoke(actorIn(c), idParam(c)))
}

/** Who acts, and for whom; a misspelt `tenant` would be the caller's own. */
function actorIn(c: GatewayContext) {
  onlyParams(c, 'tenant')
  return actorOf(c)
}
