import type { Fingerprints } from '#cache/fingerprints.ts'
import { type Candidate, findCandidate, type Live } from '#core/attempt.ts'
import type { CachedAnswer, CacheStore } from '#core/cache.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { Whole } from '../flights/shared-log.ts'
import type { Asked, Depart, Flights } from './share.ts'

/** What the step for stored answers needs. */
export interface AnswersDeps {
  readonly store: CacheStore
  readonly clock: Clock
  readonly flights: Flights
  readonly fingerprints: Fingerprints
}

/** Answers a call without looking up, storing or sharing the answer. */
export function pass({ call, record, scope, cache }: Asked, depart: Depart): Promise<Live> {
  if (cache.onlyStored) throw notStored()
  record.cache = { status: 'bypass', ageMs: 0, leftMs: 0 }
  return depart(call).alone(scope)
}

/** The error for a caller who accepts only stored answers. */
export function notStored(): GatewayError {
  return new GatewayError('only_if_cached', 'There is no stored answer to this request.', { shouldRetry: false })
}

/** The age of an answer if the call may use it. The target that gave it must still belong to the model, and the caller
 * may ask for a maximum age; an answer that is too old for the caller is noted in the record.
 *
 * @returns Milliseconds; `null` when the call may not use it. */
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

/** The model and the target that gave an answer; `null` when one is gone, or they no longer belong together. */
export function giverOf(
  stored: Pick<CachedAnswer, 'model' | 'target'>,
  { models }: Pick<Snapshot, 'models'>,
): Pick<Live, 'model' | 'target'> | null {
  const model = models.get(stored.model)
  // Another model may have the same target at a different price.
  const target = model?.targets.find(({ id }) => id === stored.target)
  return model === undefined || target === undefined ? null : { model, target }
}

/** Whether an answer is from a requested model, and not from a fallback. */
export function isOwn({ record }: Asked, { model, target }: Pick<Whole, 'model' | 'target'>): boolean {
  const isGiver = (each: Candidate) => each.model.name === model.name && each.target.id === target.id
  const candidate = record.plan === null ? null : findCandidate(record.plan, isGiver)
  return candidate !== null && candidate.fallback !== true
}

/** Who gave an answer, and whom it belongs to. */
export function ownerOf(
  { call, record }: Asked,
  { model, target }: Whole,
): Pick<CachedAnswer, 'model' | 'target' | 'tenant' | 'key'> {
  const { caller } = call
  const key = caller.role === 'anonymous' ? record.address : caller.id
  return { model: model.name, target: target.id, tenant: caller.tenant, key }
}
