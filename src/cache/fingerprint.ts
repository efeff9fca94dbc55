import type { Endpoint } from '#core/call.ts'
import type { Caller } from '#core/caller.ts'
import { sha256 } from '#lib/hash.ts'
import type { JsonObject } from '#lib/json.ts'
import { canonical } from './canonical.ts'

/** Fields that are known to leave the answer as it is, or to change only how it is sent. Everything else counts, also
 * what the gateway has never heard of. `model` is left out because the models that it leads to count instead. */
const NEUTRAL: ReadonlySet<string> = new Set(['model', 'stream', 'stream_options', 'user', 'metadata', 'cache'])

/** Longer bodies are not sorted: their bytes count. */
const CANONICAL_CHARACTERS_MAX = 256 * 1024

/** Everything but the body that decides which answer a request may get: who asks, and who may answer. */
export interface Asker {
  readonly endpoint: Endpoint
  readonly caller: Caller
  /** The address of the caller. */
  readonly address: string
  readonly scope: 'key' | 'tenant'
  /** The public names of the models that may answer, or the one target that was named. */
  readonly models: readonly string[]
  /** The values of the headers that choose who answers. */
  readonly server: string | null
  readonly strategy: string | null
  /** The caller's headers that some dialect passes on. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** Everything that decides which answer a request may get. */
export interface Question extends Asker {
  readonly body: JsonObject
  /** The body as it came. */
  readonly text: string
}

/** The name under which the answer to a question is kept: two questions have the same one only if the same caller (or
 * tenant), with the same rights, may get the same answer to both.
 *
 * @returns `null` for one that cannot be told from others: an embedding of numbers that parsing has changed. */
export function fingerprint(question: Question): string | null {
  const { endpoint, text, body } = question
  const vector = endpoint === 'embeddings'
  // An embedding is asked for by one of several inputs, so that the bytes of the whole say nothing of it.
  const asker = whoIsAsked(question)
  const whole = vector || text.length <= CANONICAL_CHARACTERS_MAX ? canonical(body, NEUTRAL, asker) : null
  if (whole === null) return vector ? null : `chat:${sha256(`${asker}raw ${text}`)}`
  return (vector ? 'embed:' : 'chat:') + sha256(whole)
}

/** Whether all but the body is the same. A caller is known by identity: the same key is the same object until its
 * rights change. Headers that are passed on are rare, and not compared. */
export function isSameAsker(one: Asker, other: Asker): boolean {
  return (
    one.caller === other.caller &&
    // An address says who asks only where nothing else does.
    (one.caller.role !== 'anonymous' || one.address === other.address) &&
    one.endpoint === other.endpoint &&
    one.scope === other.scope &&
    one.server === other.server &&
    one.strategy === other.strategy &&
    one.headers === undefined &&
    other.headers === undefined &&
    isSameList(one.models, other.models)
  )
}

function isSameList(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((name, at) => name === others[at])
}

/** What was written last of each caller, who mostly asks the same models in the same way. */
const written = new WeakMap<Caller, { readonly asker: Asker; readonly text: string }>()

function whoIsAsked(question: Question): string {
  const known = written.get(question.caller)
  if (known !== undefined && isSameAsker(known.asker, question)) return known.text
  const { body: _body, text: _text, ...asker } = question
  const text = writeAsker(asker)
  written.set(question.caller, { asker, text })
  return text
}

function writeAsker(asker: Asker): string {
  const { endpoint, models, server, strategy, headers } = asker
  const passed = headers === undefined ? null : Object.entries(headers).sort()
  return JSON.stringify([ownerOf(asker), endpoint, models, server, strategy, passed])
}

/** Whose answers a question may meet. Rights belong to it: a key never gets what a model said that it may not use. */
function ownerOf({ caller, address, scope }: Asker): readonly unknown[] {
  const rights = caller.models === null ? null : [...caller.models].sort()
  if (caller.role === 'anonymous') return ['address', address, rights]
  return scope === 'tenant' ? ['tenant', caller.tenant, rights] : ['key', caller.tenant, caller.id, rights]
}
