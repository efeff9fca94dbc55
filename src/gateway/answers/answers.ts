import { capture } from '#cache/capture.ts'
import { isCacheable } from '#cache/eligible.ts'
import type { Question } from '#cache/fingerprint.ts'
import { storedText } from '#cache/replay.ts'
import type { Live } from '#core/attempt.ts'
import type { CachedAnswer } from '#core/cache.ts'
import { abandonable } from '#core/scope.ts'
import { resolveModels } from '#routing/candidates.ts'
import type { Whole } from '../flights/shared-log.ts'
import { replayed } from './replayed.ts'
import type { Asked, Depart } from './share.ts'
import { type AnswersDeps, giverOf, isOwn, notStored, ownerOf, pass, usableAge } from './stored.ts'
import { answerVectors } from './vectors.ts'

/** Gives the answer to a call: the stored one, the running one of an equal call, or a new one, which it stores. */
export type Answers = (asked: Asked, depart: Depart) => Promise<Live>

/** Creates the step that looks for stored and running answers while the cache is on. */
export function createAnswers(deps: AnswersDeps): Answers {
  return (asked, depart) => {
    const question = questionOf(asked)
    if (question === null) return pass(asked, depart)
    return asked.call.endpoint === 'embeddings'
      ? answerVectors(deps, asked, question, depart)
      : answer(deps, asked, question, depart)
  }
}

/** The parts of a call that decide its answer; `null` when the answer must not be stored or shared.
 *
 * @throws GatewayError when no model may answer. */
function questionOf({ call, text, record, snapshot, settings, cache, wishes }: Asked): Question | null {
  const { models, target } = resolveModels(call, snapshot)
  if (!(cache.read || cache.store) || !isCacheable(call, models, settings)) return null
  return {
    endpoint: call.endpoint,
    caller: call.caller,
    address: record.address,
    scope: settings.scope,
    models: target === null ? models.map(({ name }) => name) : [target.id],
    body: call.body,
    text,
    server: wishes.server,
    strategy: wishes.strategy,
    headers: call.headers,
  }
}

function answer(deps: AnswersDeps, asked: Asked, question: Question, depart: Depart): Promise<Live> {
  const key = deps.fingerprints.of(question)
  if (key === null) return pass(asked, depart)
  const goOn = (stored: CachedAnswer | null): Promise<Live> => {
    const live = stored === null ? null : give(deps, asked, stored)
    if (live !== null) {
      deps.fingerprints.remember(question, key)
      return Promise.resolve(live)
    }
    if (asked.cache.onlyStored) throw notStored()
    return deps.flights.take(asked, key, depart, whole => keep(deps, asked, key, whole))
  }
  // For answers in memory, `get` returns without a promise, also when there is none.
  const found = asked.cache.read ? deps.store.get(key) : null
  return found instanceof Promise ? abandonable(found, asked.scope).then(goOn) : goOn(found)
}

function give({ clock }: AnswersDeps, asked: Asked, stored: CachedAnswer): Live | null {
  const { call, record, scope, snapshot } = asked
  const ageMs = usableAge(asked, stored, clock)
  const giver = giverOf(stored, snapshot)
  if (ageMs === null || giver === null) return null
  record.cache = { status: 'hit', ageMs, leftMs: Math.max(0, stored.ttlMs - ageMs) }
  record.model = stored.model
  // A replay at the original pace may be stopped in the middle: what was given of it is counted as it goes.
  if (!call.stream || stored.pace.length === 0) {
    record.contentChars = stored.characters
    if (record.payload !== null) record.payload.answer = storedText(stored)
  }
  record.sparedPrice = giver.target.price
  return replayed(stored, { call, ...giver, clock, scope, id: record.id })
}

/** Stores a complete answer. Not stored are answers of a fallback model, answers of which a server was given the
 * beginning, and answers with a piece that could not be read. */
function keep({ store, clock }: AnswersDeps, asked: Asked, key: string, whole: Whole): void {
  const { call, record, settings } = asked
  if (!isOwn(asked, whole) || record.prefilled || record.eventsSkipped > 0) return
  const captured = capture(whole.frames, call)
  if (captured === null) return
  const { form, text, count, id, created, usage, characters } = captured
  const { model, target, tenant, key: owner } = ownerOf(asked, whole)
  const answer: CachedAnswer = {
    form,
    text,
    count,
    id,
    created,
    pace: paceOf(whole),
    usage,
    characters,
    model,
    target,
    tenant,
    key: owner,
    storedAt: clock.time(),
    ttlMs: settings.chatTtlMs,
  }
  void store.set(key, answer, record.startedNow)
}

/** The time of each event of a stream, counted from the first one. */
function paceOf({ moments }: Whole): readonly number[] {
  const [first = 0] = moments
  return moments.map(moment => Math.round(moment - first))
}
