import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { MEDIA_TYPES, typeOfName, typeOrGuess } from '../media-types.ts'
import { refuse } from '../unsupported.ts'

const ADDRESS = /^(?:https?|gs):\/\//i

/** Translates one part of a message's content.
 *
 * @param place Where it stands in the body, for errors.
 * @param baseUrl The address of the server, below which its own files are. */
export function toGeminiPart(part: JsonValue, place: string, baseUrl: string): JsonObject {
  if (typeof part === 'string') return { text: part }
  if (!isObject(part)) throw invalid(place, 'must be an object')
  if (part.type === 'image_url') return toImage(part.image_url, place)
  if (part.type === 'input_audio') return toAudio(part.input_audio, place)
  if (part.type === 'file') return toFile(part.file, place, baseUrl)
  if (typeof part.text === 'string') return { text: part.text }
  if (typeof part.refusal === 'string') return { text: part.refusal }
  throw refuse(place, `content of the type ${String(part.type).slice(0, 40)}`, 'send text, images, audio or files')
}

function toImage(value: JsonValue, place: string): JsonObject {
  const url = isObject(value) ? value.url : value
  return toMedia(typeof url === 'string' ? url : '', place)
}

function toAudio(value: JsonValue, place: string): JsonObject {
  const { data, format } = isObject(value) ? value : {}
  if (typeof data !== 'string' || typeof format !== 'string') throw invalid(place, 'needs data and a format')
  return { inlineData: { mimeType: MEDIA_TYPES.get(format) ?? `audio/${format}`, data } }
}

function toFile(value: JsonValue, place: string, baseUrl: string): JsonObject {
  const { file_data: data, file_id: id, filename } = isObject(value) ? value : {}
  if (typeof data === 'string') {
    const mimeType = typeOfName(filename)
    // Some clients send an address here, as OpenRouter has it, and some the base64 alone.
    if (ADDRESS.test(data) && mimeType !== undefined) return { fileData: { fileUri: data, mimeType } }
    return data.startsWith('data:') || mimeType === undefined
      ? toMedia(data, place, filename)
      : { inlineData: { mimeType, data } }
  }
  if (typeof id !== 'string') throw invalid(place, 'needs file_data or a file_id')
  if (/^files\/[\w-]+$/.test(id)) return { fileData: { fileUri: `${baseUrl}/${id}`, mimeType: typeOfName(filename) } }
  return toMedia(id, place)
}

/** A data URL goes inline, an address is fetched by Google. */
function toMedia(url: string, place: string, filename?: JsonValue): JsonObject {
  const [head, declared = ''] = /^data:([^;,]+)(?:;[^;,]*)*;base64,/i.exec(url) ?? []
  if (head !== undefined) {
    const data = url.slice(head.length)
    // Many applications make the type of the ending. Gemini refuses what is not registered.
    const mimeType = typeOrGuess(declared, filename, data).replace(/^image\/jpg$/i, 'image/jpeg')
    return { inlineData: { mimeType, data } }
  }
  if (ADDRESS.test(url))
    // With `s` the first match is the only one: where a line feed stops the dot, each `?` before it is tried, for
    // hours.
    return { fileData: { fileUri: url, mimeType: typeOfName(url.replace(/[?#].*$/s, '')) } }
  throw invalid(place, 'must be a data: URL with a media type and base64, or an https address')
}

function invalid(place: string, problem: string): GatewayError {
  return new GatewayError('invalid_request', `${place}: ${problem}.`, { param: place })
}
