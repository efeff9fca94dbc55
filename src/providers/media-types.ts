import type { JsonValue } from '#lib/json.ts'

/** Media types by file extension, for addresses and files that come without one. */
export const MEDIA_TYPES: ReadonlyMap<string, string> = new Map([
  ['aac', 'audio/aac'],
  ['csv', 'text/csv'],
  ['flac', 'audio/flac'],
  ['gif', 'image/gif'],
  ['heic', 'image/heic'],
  ['heif', 'image/heif'],
  ['html', 'text/html'],
  ['jpeg', 'image/jpeg'],
  ['jpg', 'image/jpeg'],
  ['md', 'text/markdown'],
  ['mov', 'video/quicktime'],
  ['mp3', 'audio/mp3'],
  ['mp4', 'video/mp4'],
  ['mpeg', 'video/mpeg'],
  ['ogg', 'audio/ogg'],
  ['pdf', 'application/pdf'],
  ['png', 'image/png'],
  ['txt', 'text/plain'],
  ['wav', 'audio/wav'],
  ['webm', 'video/webm'],
  ['webp', 'image/webp'],
])

/** How base64 begins of files that say in their first bytes what they are. */
const BEGINNINGS: readonly (readonly [beginning: string, type: string])[] = [
  ['JVBERi0', 'application/pdf'],
  ['iVBORw0KGgo', 'image/png'],
  ['/9j/', 'image/jpeg'],
  ['R0lGOD', 'image/gif'],
]

/** The media type that the ending of a file's name stands for. */
export function typeOfName(name: JsonValue | undefined): string | undefined {
  const ending = typeof name === 'string' ? /\.([a-z0-9]+)$/i.exec(name)?.[1] : undefined
  return ending === undefined ? undefined : MEDIA_TYPES.get(ending.toLowerCase())
}

/** The media type of a file. Browsers and libraries call it `application/octet-stream` where they do not know it, which
 * no server takes: then its name tells, or its beginning. */
export function typeOrGuess(declared: string, name: JsonValue | undefined, base64: string): string {
  if (declared.toLowerCase() !== 'application/octet-stream') return declared
  return typeOfName(name) ?? BEGINNINGS.find(([beginning]) => base64.startsWith(beginning))?.[1] ?? declared
}
