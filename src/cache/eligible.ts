import type { CacheSettings } from '#core/cache.ts'
import type { Call } from '#core/call.ts'
import type { Model } from '#core/servers.ts'

/** Whether the answer to a call may be kept and shared at all: nobody who has a say in it is against it, and the server
 * keeps nothing of it that a second caller would miss. */
export function isCacheable(call: Call, models: readonly Model[], settings: CacheSettings): boolean {
  const { body, caller } = call
  if (body.cache === false || body.store === true || body.background === true) return false
  if (caller.cache === false || models.some(model => model.cache === false)) return false
  return !settings.onlyDeterministic || isDeterministic(call)
}

/** Whether the same question asks for the same answer each time. */
function isDeterministic({ endpoint, body }: Call): boolean {
  return endpoint === 'embeddings' || body.temperature === 0 || typeof body.seed === 'number'
}
