import type { Endpoint } from '#core/call.ts'
import type { Caller } from '#core/caller.ts'
import { sha256 } from '#lib/hash.ts'
import { hasDoubles, type JsonObject } from '#lib/json.ts'
import { canonical } from './canonical.ts'

/** Fields that are known to leave the answer as it is, or to change only how it is sent. Everything else counts, also
 * what the gateway has never heard of. `model` is left out because the models that it leads to count instead. */
const NEUTRAL: ReadonlySet<string> = new Set(['model', 'stream', 'stream_options', 'user', 'metadata', 'cache'])

/** Longer bodies are not sorted: their bytes count. */
const CANONICAL_CHARACTERS_MAX = 256 * 1024

/** Everything that decides which answer a request may get. */
export interface Question {
  readonly endpoint: Endpoint
  readonly caller: Caller
  /** The address of the caller. */
  readonly address: string
  readonly scope: 'key' | 'tenant'
  /** The public names of the models that may answer, or the one target that was named. */
  readonly models: readonly string[]
  readonly body: JsonObject
  /** The body as it came. */
  readonly text: string
  /** The values of the headers that choose who answers. */
  readonly server: string | null
  readonly strategy: string | null
  /** The caller's headers that some dialect passes on. */
  readonly headers?: Readonly<Record<string, string>> | undefined
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
  // A server gets the bytes, and may read the one of two members of a name that parsing has left out.
  const sorted = vector || (text.length <= CANONICAL_CHARACTERS_MAX && !hasDoubles(text, body))
  const whole = sorted ? canonical(body, NEUTRAL, asker) : null
  if (whole === null) return vector ? null : `chat:${sha256(`${asker}raw ${text}`)}`
  return (vector ? 'embed:' : 'chat:') + sha256(whole)
}

/** Everything but the body, as a text: who asks, and who may answer. */
export function whoIsAsked(question: Question): string {
  const { endpoint, models, server, strategy, headers } = question
  const passed = headers === undefined ? null : Object.entries(headers).sort()
  return JSON.stringify([ownerOf(question), endpoint, models, server, strategy, passed])
}

/** Whose answers a question may meet. Rights belong to it: a key never gets what a model said that it may not use. */
function ownerOf({ caller, address, scope }: Question): readonly unknown[] {
  const rights = caller.models === null ? null : [...caller.models].sort()
  if (caller.role === 'anonymous') return ['address', address, rights]
  return scope === 'tenant' ? ['tenant', caller.tenant, rights] : ['key', caller.tenant, caller.id, rights]
}
