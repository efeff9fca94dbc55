import { GatewayError } from '#core/errors.ts'
import { findModel, listModels } from '#gateway/management/fleet.ts'
import { closest } from '#lib/closest.ts'
import type { Handler } from '../exchange.ts'
import { json } from '../reply.ts'
import type { Services } from '../services.ts'
import { callerOf } from '../tenant.ts'
import { mark } from './health.ts'

/** `GET /v1/models`: the models that the caller may use. */
export function models(services: Services): Handler {
  return c => {
    mark(c.env)
    return json(c.env, { object: 'list', data: listModels(services.fleet().snapshot, callerOf(c)) })
  }
}

/** `GET /v1/models/{id}`: one model; ids may contain slashes and colons. */
export function model(services: Services): Handler {
  return c => {
    const { snapshot } = services.fleet()
    const id = (c.req.param('id') ?? '').replace(/\/$/, '')
    const caller = callerOf(c)
    const found = findModel(snapshot, caller, id)
    if (found !== null) return json(c.env, found)
    const names = closest(
      id,
      listModels(snapshot, caller).map(entry => entry.id),
      3,
    )
    const hint = names.length > 0 ? ` Did you mean ${names.map(name => `"${name}"`).join(', ')}?` : ''
    throw new GatewayError(
      'model_not_found',
      `The model "${id.slice(0, 200)}" does not exist or is not yours to use.${hint}`,
      { param: 'model' },
    )
  }
}
