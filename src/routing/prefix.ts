import type { Call } from '#core/call.ts'
import { isObject, type JsonValue } from '#lib/json.ts'

/** How many characters are hashed of each message, and of a prompt without messages. */
const MESSAGE_MAX = 4096
const PROMPT_MAX = 1024

/** A hash of the beginning of a prompt: the messages up to the first of the user, which stay the same while a
 * conversation goes on. It includes the tenant, so that prompts of different tenants are independent.
 *
 * @returns `null` for calls of which no server remembers anything. */
export function prefixKey({ body, caller, endpoint }: Call): number | null {
  const salt = hashText(caller.tenant, MESSAGE_MAX, 0x811c9dc5)
  if (endpoint === 'completions') {
    return typeof body.prompt === 'string' ? spread(hashText(body.prompt, PROMPT_MAX, salt)) : null
  }
  if (endpoint === 'embeddings' || !Array.isArray(body.messages)) return null
  let hash = salt
  for (const message of body.messages) {
    if (!isObject(message)) continue
    hash = hashContent(message.content, hash)
    if (message.role === 'user') break
  }
  return spread(hash)
}

/** A number from 0 up to but not including 1 that is the same for the same key and name. */
export function drawFor(key: number, name: number): number {
  return (spread(key ^ Math.imul(name, 0x9e3779b1)) >>> 0) / 2 ** 32
}

/** FNV-1a over the first characters of a text. */
export function hashText(text: string, max: number, seed: number): number {
  const end = Math.min(text.length, max)
  let hash = seed
  for (let at = 0; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash
}

function hashContent(content: JsonValue, seed: number): number {
  if (typeof content === 'string') return hashText(content, MESSAGE_MAX, seed)
  let hash = seed
  if (!Array.isArray(content)) return hash
  for (const part of content) {
    if (!isObject(part)) continue
    if (typeof part.text === 'string') hash = hashText(part.text, MESSAGE_MAX, hash)
    if (isObject(part.image_url) && typeof part.image_url.url === 'string') {
      hash = hashText(part.image_url.url, MESSAGE_MAX, hash)
    }
  }
  return hash
}

/** Mixes the bits of a number, so that a change of one bit changes about half of all bits (the last step of
 * MurmurHash3). */
function spread(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
