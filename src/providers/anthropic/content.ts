import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { typeOrGuess } from '../media-types.ts'
import { partsOf, refuse } from '../unsupported.ts'
import { isBlank } from './answer.ts'
import { malformed } from './unsupported.ts'

/** Blocks of Anthropic's own that callers may send as they are. */
const OWN_BLOCKS: ReadonlySet<unknown> = new Set(['image', 'document', 'search_result', 'container_upload'])

/** Translates the content of a message into blocks. Empty texts are left out, which the API refuses.
 *
 * @param place Where the content stands, for errors: `messages.0.content`. */
export function toBlocks(content: JsonValue, place: string): readonly JsonObject[] {
  return partsOf(content, place).flatMap((part, at) => toPart(part, `${place}.${at}`))
}

function toPart(part: JsonValue, place: string): readonly JsonObject[] {
  if (typeof part === 'string') return toText(part)
  if (!isObject(part)) throw malformed(place, 'must be an object')
  const cache = isObject(part.cache_control) ? { cache_control: part.cache_control } : {}
  if (typeof part.text === 'string') return toText(part.text, cache)
  if (typeof part.refusal === 'string') return toText(part.refusal)
  if (part.type === 'image_url') return [{ type: 'image', source: toImageSource(part.image_url, place), ...cache }]
  if (part.type === 'file') return [{ ...toDocument(part.file, place), ...cache }]
  if (OWN_BLOCKS.has(part.type)) return [part]
  throw refuse(place, `content of the type ${String(part.type).slice(0, 40)}`, 'send text, images or files')
}

function toText(text: string, more: JsonObject = {}): readonly JsonObject[] {
  return isBlank(text) ? [] : [{ type: 'text', text, ...more }]
}

function toImageSource(value: JsonValue, place: string): JsonObject {
  const url = isObject(value) ? value.url : value
  return toSource(typeof url === 'string' ? url : '', place)
}

function toSource(url: string, place: string, filename?: string): JsonObject {
  if (/^https?:/i.test(url)) return { type: 'url', url }
  const [head, type] = /^data:([^;,]+)(?:;[^;,]+)*;base64,/i.exec(url) ?? []
  if (head === undefined || type === undefined)
    throw malformed(place, 'must be an https address or a data: URL in base64')
  const data = url.slice(head.length)
  const media_type = typeOrGuess(type, filename, data).toLowerCase().replace('image/jpg', 'image/jpeg')
  return { type: 'base64', media_type, data }
}

/** Translates a file. The API takes PDF and plain text as documents. */
function toDocument(value: JsonValue, place: string): JsonObject {
  const file = isObject(value) ? value : {}
  const title = typeof file.filename === 'string' ? file.filename : undefined
  if (typeof file.file_id === 'string')
    return { type: 'document', source: { type: 'file', file_id: file.file_id }, title }
  const data = typeof file.file_data === 'string' ? file.file_data : ''
  // OpenAI also takes the bare base64 of a PDF.
  const bare = /^[A-Za-z0-9+/]+={0,2}$/.test(data) ? `data:application/pdf;base64,${data}` : data
  const source = toSource(bare, place, title)
  if (String(source.media_type).startsWith('image/')) return { type: 'image', source }
  if (!String(source.media_type).startsWith('text/')) return { type: 'document', source, title }
  const text = Buffer.from(String(source.data), 'base64').toString('utf8')
  return { type: 'document', source: { type: 'text', media_type: 'text/plain', data: text }, title }
}
