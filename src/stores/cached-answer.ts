import { promisify } from 'node:util'
import { zstdCompress, zstdDecompress } from 'node:zlib'
import { z } from 'zod'
import type { CachedAnswer } from '#core/cache.ts'
import { parseJson } from '#lib/json.ts'

/** Within so many bytes of the beginning everything is said that decides whether an answer is to be forgotten. */
export const HEADER_BYTES_MAX = 4096
/** Smaller answers are not worth the time of compressing. */
const COMPRESS_BYTES_MIN = 4096
const FORMAT = 2
const LINE_FEED = 10

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

const usage = z.object({
  input: z.number(),
  cacheRead: z.number(),
  cacheWrite: z.number(),
  output: z.number(),
  reasoning: z.number(),
  estimated: z.boolean(),
})

/** The line that stands before the texts of an answer. */
const line = z.object({
  format: z.literal(FORMAT),
  compressed: z.boolean(),
  form: z.enum(['plain', 'stream', 'vector']),
  id: z.string(),
  created: z.number(),
  usage: usage.nullable(),
  characters: z.number(),
  model: z.string(),
  target: z.string(),
  tenant: z.string(),
  key: z.string(),
  storedAt: z.number(),
  ttlMs: z.number(),
  // How many bytes the texts have; the pace follows them.
  textBytes: z.int().min(0),
  countBytes: z.int().min(0),
})
type Line = z.output<typeof line>

const moments = z.array(z.number())

/** Writes an answer as bytes: a line of JSON, then its texts as they are, compressed when they are long; a short answer
 * at once. `null` when the line is longer than it may be. */
export function writeAnswer(answer: CachedAnswer): Buffer | null | Promise<Buffer> {
  const { text, count, pace, ...own } = answer
  const textBytes = Buffer.byteLength(text)
  const countBytes = Buffer.byteLength(count)
  const compressed = textBytes >= COMPRESS_BYTES_MIN
  const head: Line = { format: FORMAT, compressed, ...own, textBytes, countBytes }
  const first = `${JSON.stringify(head)}\n`
  if (first.length > HEADER_BYTES_MAX || Buffer.byteLength(first) > HEADER_BYTES_MAX) return null
  const rest = text + count + (pace.length === 0 ? '' : JSON.stringify(pace))
  return compressed
    ? compress(Buffer.from(rest)).then(bytes => Buffer.concat([Buffer.from(first), bytes]))
    : Buffer.from(first + rest)
}

/** Reads what `writeAnswer` has written, a short answer at once; `null` for anything else. */
export function readAnswer(bytes: Buffer): CachedAnswer | null | Promise<CachedAnswer | null> {
  const head = readHeader(bytes)
  if (head === null) return null
  const rest = bytes.subarray(bytes.indexOf(LINE_FEED) + 1)
  if (!head.compressed) return readTexts(head, rest)
  return decompress(rest).then(
    whole => readTexts(head, whole),
    () => null,
  )
}

function readTexts(head: Line, bytes: Buffer): CachedAnswer | null {
  const { format: _, compressed: __, textBytes, countBytes, ...own } = head
  const end = textBytes + countBytes
  if (bytes.length < end) return null
  const pace = bytes.length === end ? NONE : moments.safeParse(parseJson(bytes.toString('utf8', end))).data
  if (pace === undefined) return null
  return { ...own, text: bytes.toString('utf8', 0, textBytes), count: bytes.toString('utf8', textBytes, end), pace }
}

const NONE: readonly number[] = []

/** Reads the line of an answer, of which the rest need not be there. */
export function readHeader(bytes: Buffer): Line | null {
  const end = bytes.indexOf(LINE_FEED)
  const read = end < 0 ? null : line.safeParse(parseJson(bytes.subarray(0, end).toString()))
  return read?.success ? read.data : null
}
