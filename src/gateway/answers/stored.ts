import type { Fingerprints } from '#cache/fingerprints.ts'
import { type Candidate, findCandidate, type Live } from '#core/attempt.ts'
import type { CachedAnswer, CacheStore } from '#core/cache.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Whole } from '../flights/shared-log.ts'
import type { Asked, Depart, Flights } from './share.ts'

/** What the answers are made of. */
export interface AnswersDeps {
  readonly store: CacheStore
  readonly clock: Clock
  readonly flights: Flights
  readonly fingerprints: Fingerprints
}

/** Answers a call whose answer is neither looked up, nor stored, nor shared. */
export function pass({ call, record, scope, cache }: Asked, depart: Depart): Promise<Live> {
  if (cache.onlyStored) throw notStored()
  record.cache = { status: 'bypass', ageMs: 0, leftMs: 0 }
  return depart(call).alone(scope)
}

/** The error for who wants nothing but a stored answer. */
export function notStored(): GatewayError {
  return new GatewayError('only_if_cached', 'There is no stored answer to this request.', { shouldRetry: false })
}

/** How old an answer is, if it will still do for a call: the one who gave it must still be asked, and the caller may
 * want a younger one, which is noted.
 *
 * @returns Milliseconds; `null` when it will not do. */
export function usableAge(
  { snapshot, cache, record }: Asked,
  stored: CachedAnswer,
  clock: Pick<Clock, 'time'>,
): number | null {
  const ageMs = Math.max(0, clock.time() - stored.storedAt)
  if (giverOf(stored, snapshot) === null) return null
  if (ageMs <= cache.maxAgeMs) return ageMs
  record.foundTooOld = true
  return null
}

/** The model and the target that gave an answer; `null` when they are not there, or belong together no more. */
export function giverOf(
  stored: Pick<CachedAnswer, 'model' | 'target'>,
  { models }: Pick<Snapshot, 'models'>,
): Pick<Live, 'model' | 'target'> | null {
  const model = models.get(stored.model)
  // Another model may have the same target, with a price of its own.
  const target = model?.targets.find(({ id }) => id === stored.target)
  return model === undefined || target === undefined ? null : { model, target }
}

/** Whether an answer is of a model that was asked for, rather than of a fallback. */
export function isOwn({ record }: Asked, { model, target }: Pick<Whole, 'model' | 'target'>): boolean {
  const isGiver = (each: Candidate) => each.model.name === model.name && each.target.id === target.id
  const candidate = record.plan === null ? null : findCandidate(record.plan, isGiver)
  return candidate !== null && candidate.fallback !== true
}

/** Who gave an answer and whose it is. */
export function ownerOf(
  { call, record }: Asked,
  { model, target }: Whole,
): Pick<CachedAnswer, 'model' | 'target' | 'tenant' | 'key'> {
  const { caller } = call
  const key = caller.role === 'anonymous' ? record.address : caller.id
  return { model: model.name, target: target.id, tenant: caller.tenant, key }
}
