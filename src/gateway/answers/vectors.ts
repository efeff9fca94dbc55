import { fingerprint, type Question } from '#cache/fingerprint.ts'
import { inputsOf, shareUsage, vectorsIn, writeVectors } from '#cache/vectors.ts'
import type { Live } from '#core/attempt.ts'
import type { CachedAnswer } from '#core/cache.ts'
import { GatewayError } from '#core/errors.ts'
import type { DataFrame, Frame } from '#core/frame.ts'
import { countSaved } from '#core/record.ts'
import { abandonable } from '#core/scope.ts'
import { inputTokens, type Usage } from '#core/usage.ts'
import { hasDoubles, type JsonValue } from '#lib/json.ts'
import type { Whole } from '../flights/shared-log.ts'
import { estimateUsage } from '../settle.ts'
import { given } from './convert.ts'
import type { Asked, Depart } from './share.ts'
import { type AnswersDeps, giverOf, isOwn, notStored, ownerOf, pass, usableAge } from './stored.ts'

/** The most inputs, as with OpenAI. Looking up more of them would delay everybody else, here and in Redis. */
const INPUTS_MAX = 2048

/** A batch: the fingerprints of its inputs, and what is stored for them. */
interface Batch {
  readonly keys: readonly string[]
  readonly stored: ReadonlyMap<string, CachedAnswer>
  /** The inputs that have to be requested, each once. */
  readonly missing: ReadonlyMap<string, JsonValue>
}

/** Answers an embeddings call. Each input is stored separately, so that only missing ones are requested. */
export async function answerVectors(
  deps: AnswersDeps,
  asked: Asked,
  question: Question,
  depart: Depart,
): Promise<Live> {
  const batch = await lookUp(deps, asked, question)
  if (batch === null) return pass(asked, depart)
  const { keys, stored, missing } = batch
  if (missing.size === 0) return give(deps, asked, batch)
  if (asked.cache.onlyStored) throw notStored()
  const ask = (of: Asked, inputs: Inputs) => {
    const key = `${fingerprint({ ...question, body: of.call.body })} batch`
    return deps.flights.take(of, key, depart, whole => keep(deps, of, inputs, whole))
  }
  if (missing.size === keys.length) return ask(asked, [...missing])
  const rest = withInputs(asked, [...missing.values()])
  asked.record.asked = rest.call
  const live = await ask(rest, [...missing])
  if (isOfOneModel(batch, live)) {
    // A server is still asked, only for less: no price per request is saved.
    const price = live.target.price === null ? null : { ...live.target.price, request: 0 }
    for (const { usage } of stored.values()) if (usage !== null) countSaved(asked.record, price, usage)
    return given(live, async () => (await live.next()).map(frame => complete(frame, rest, batch, live)))
  }
  await setAside(rest, live)
  const inputs = inputsOf(asked.call.body.input)
  return ask(
    asked,
    keys.map((key, at) => [key, inputs[at]]),
  )
}

/** Whether the new vectors come from the model that gave the stored ones, and not from a fallback: vectors of different
 * models cannot be compared. */
function isOfOneModel({ stored }: Batch, { model }: Live): boolean {
  for (const vector of stored.values()) if (vector.model !== model.name) return false
  return true
}

/** Closes an answer of which nothing is given to the caller. */
async function setAside(asked: Asked, live: Live): Promise<void> {
  const { record } = asked
  const [frame] = await live.next()
  live.close()
  record.asked = null
  const attempt = record.attempts.findLast(({ result }) => result === 'ok')
  if (attempt !== undefined && frame !== undefined && frame.kind !== 'error') attempt.usage = usageOf(frame, asked)
}

/** @returns `null` for a batch that is too large, cannot be told from others, or may get the vectors of several models. */
async function lookUp({ store, clock }: AnswersDeps, asked: Asked, question: Question): Promise<Batch | null> {
  const { input: all, ...rest } = question.body
  const inputs = inputsOf(all)
  if (question.models.length > 1 || inputs.length > INPUTS_MAX) return null
  if (hasDoubles(question.text, question.body)) return null
  // The part that all inputs share may be long, and is read only once.
  const common = fingerprint({ ...question, body: rest })
  if (common === null) return null
  const keys: string[] = []
  for (const input of inputs) {
    const key = fingerprint({ ...question, body: { common, input } })
    if (key === null) return null
    keys.push(key)
  }
  const stored = new Map<string, CachedAnswer>()
  const missing = new Map<string, JsonValue>()
  const found = asked.cache.read ? await abandonable(Promise.all(keys.map(key => store.get(key))), asked.scope) : []
  for (const [at, key] of keys.entries()) {
    const vector = found[at] ?? null
    if (vector !== null && usableAge(asked, vector, clock) !== null) stored.set(key, vector)
    else missing.set(key, inputs[at])
  }
  return { keys, stored, missing }
}

/** The requested inputs, each with its fingerprint. */
type Inputs = readonly (readonly [key: string, input: JsonValue])[]

function withInputs(asked: Asked, inputs: readonly JsonValue[]): Asked {
  const { call } = asked
  return { ...asked, call: { ...call, source: null, body: { ...call.body, input: inputs } } }
}

/** Gives a batch of which everything is stored. Its age is that of its oldest part. */
function give({ clock }: AnswersDeps, { record, snapshot }: Asked, { keys, stored }: Batch): Live {
  const vectors = keys.flatMap(key => stored.get(key) ?? [])
  const [first] = vectors
  const giver = first === undefined ? null : giverOf(first, snapshot)
  if (giver === null) {
    throw new GatewayError('internal_error', 'A stored vector belongs to no model.')
  }
  const { model, target } = giver
  const now = clock.time()
  const ageMs = Math.max(0, ...vectors.map(({ storedAt }) => now - storedAt))
  const leftMs = Math.max(0, Math.min(...vectors.map(({ storedAt, ttlMs }) => storedAt + ttlMs - now)))
  record.cache = { status: 'hit', ageMs, leftMs }
  record.model = model.name
  record.sparedPrice = target.price
  const tokens = tokensOf(stored)
  const text = writeVectors(
    vectors.map(each => each.text),
    target.upstreamModel,
    tokens,
  )
  const estimated = vectors.some(each => each.usage?.estimated === true)
  const usage: Usage = { input: tokens, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0, estimated }
  const frame: DataFrame = { kind: 'finish', text, chunk: {}, usage }
  return { target, model, next: async () => [frame], close() {} }
}

/** The token count of a server for a call; if it reports none, that of the requested inputs. */
function usageOf({ usage }: DataFrame, { call }: Asked): Usage {
  return usage ?? estimateUsage(call, 0)
}

/** Combines the stored vectors with the requested ones. Only the requested ones count as usage. */
function complete(frame: Frame, rest: Asked, { keys, stored, missing }: Batch, { target }: Live): Frame {
  if (frame.kind === 'error') return frame
  const fresh = vectorsIn(frame.text, missing.size)
  if (fresh === null) {
    return {
      kind: 'error',
      error: new GatewayError('upstream_invalid_response', 'The model server left out a vector.'),
    }
  }
  const byKey = new Map([...missing.keys()].map((key, at) => [key, fresh[at] ?? '']))
  const vectors = keys.map(key => stored.get(key)?.text ?? byKey.get(key) ?? '')
  const usage = usageOf(frame, rest)
  return { ...frame, usage, text: writeVectors(vectors, target.upstreamModel, tokensOf(stored) + inputTokens(usage)) }
}

/** The tokens of the stored inputs. Inputs that are equal count once, because a server would be asked for them once. */
function tokensOf(stored: Batch['stored']): number {
  let tokens = 0
  for (const { usage } of stored.values()) tokens += inputTokens(usage)
  return tokens
}

function keep({ store, clock }: AnswersDeps, asked: Asked, inputs: Inputs, whole: Whole): void {
  const [frame] = whole.frames
  if (frame === undefined || frame.kind === 'error' || !isOwn(asked, whole)) return
  const vectors = vectorsIn(frame.text, inputs.length)
  if (vectors === null) return
  const shares = shareUsage(
    usageOf(frame, asked),
    inputs.map(([, input]) => input),
  )
  const common = { ...ownerOf(asked, whole), storedAt: clock.time(), ttlMs: asked.settings.embeddingsTtlMs }
  for (const [at, [key]] of inputs.entries()) {
    const text = vectors[at] ?? ''
    const own = { form: 'vector' as const, text, count: '', id: '', created: 0, pace: [], characters: 0 }
    void store.set(key, { ...common, ...own, usage: shares[at] ?? null }, asked.record.startedNow)
  }
}
