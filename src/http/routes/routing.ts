import { explainRequest, workload } from '#wire/routing.ts'
import type { Handler } from '../exchange.ts'
import { bodyOf } from '../parsed-body.ts'
import { json } from '../reply.ts'
import type { Services } from '../services.ts'
import { callerOf } from '../tenant.ts'

/** `POST /management/route/explain`: where a request would go, and why. */
export function explainRoute(services: Services): Handler {
  return async c => {
    const asked = await bodyOf(c, services, explainRequest)
    return json(c.env, services.rehearsal.explain(callerOf(c), asked))
  }
}

/** `POST /orchestration/workload/distribute`: how a described workload would be spread, and why. */
export function distributeWorkload(services: Services): Handler {
  return async c => {
    const described = await bodyOf(c, services, workload)
    return json(c.env, await services.rehearsal.distribute(callerOf(c), described))
  }
}
