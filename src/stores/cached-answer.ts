import { promisify } from 'node:util'
import { zstdCompress, zstdDecompress } from 'node:zlib'
import { z } from 'zod'
import type { CachedAnswer } from '#core/cache.ts'
import { parseJson } from '#lib/json.ts'

/** Within so many bytes of the beginning everything is said that decides whether an answer is to be forgotten. */
export const HEADER_BYTES_MAX = 4096
/** Smaller answers are not worth the time of compressing. */
const COMPRESS_LENGTH_MIN = 4096
const FORMAT = 3
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
  serviceTier: z.string().optional(),
  inferenceGeo: z.string().optional(),
  parts: z
    .object({
      audioInput: z.number(),
      audioCacheRead: z.number(),
      audioOutput: z.number(),
      cacheWriteHour: z.number(),
      searches: z.number(),
    })
    .optional(),
})

/** What the line before the texts says of an answer. */
const answer = z.object({
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
})

const line = z.object({
  format: z.literal(FORMAT),
  compressed: z.boolean(),
  // How long the texts are, in UTF-16 code units; the pace follows them.
  textLength: z.int().min(0),
  countLength: z.int().min(0),
  answer,
})
type Line = z.output<typeof line>

const moments = z.array(z.number())

/** Writes an answer as bytes: a line of JSON, then its texts as they are, compressed when they are long; a short answer
 * at once. `null` when the line is longer than it may be. */
export function writeAnswer(answer: CachedAnswer): Buffer | null | Promise<Buffer> {
  const { text, count, pace } = answer
  const compressed = text.length >= COMPRESS_LENGTH_MIN
  const head: Line = {
    format: FORMAT,
    compressed,
    textLength: text.length,
    countLength: count.length,
    answer: { ...answer, ...NO_TEXTS },
  }
  const first = `${JSON.stringify(head)}\n`
  if (first.length > HEADER_BYTES_MAX || Buffer.byteLength(first) > HEADER_BYTES_MAX) return null
  const rest = text + count + (pace.length === 0 ? '' : JSON.stringify(pace))
  return compressed
    ? compress(Buffer.from(rest)).then(bytes => Buffer.concat([Buffer.from(first), bytes]))
    : Buffer.from(first + rest)
}

/** Reads what `writeAnswer` has written, a short answer at once; `null` for anything else. */
export function readAnswer(bytes: Buffer): CachedAnswer | null | Promise<CachedAnswer | null> {
  const end = bytes.indexOf(LINE_FEED)
  const head = readLine(bytes, end)
  if (head === null) return null
  if (!head.compressed) return readTexts(head, bytes.toString('utf8', end + 1))
  return decompress(bytes.subarray(end + 1)).then(
    whole => readTexts(head, whole.toString()),
    () => null,
  )
}

function readTexts({ textLength, countLength, answer }: Line, texts: string): CachedAnswer | null {
  const end = textLength + countLength
  if (texts.length < end) return null
  const pace = texts.length === end ? NONE : moments.safeParse(parseJson(texts.slice(end))).data
  if (pace === undefined) return null
  return { ...answer, text: texts.slice(0, textLength), count: texts.slice(textLength, end), pace }
}

const NONE: readonly number[] = []
/** What JSON leaves out of the line. */
const NO_TEXTS = { text: undefined, count: undefined, pace: undefined }

/** Reads what the line of an answer says, of which the rest need not be there. */
export function readHeader(bytes: Buffer): Line['answer'] | null {
  return readLine(bytes, bytes.indexOf(LINE_FEED))?.answer ?? null
}

function readLine(bytes: Buffer, end: number): Line | null {
  const read = end < 0 ? null : line.safeParse(parseJson(bytes.toString('utf8', 0, end)))
  return read?.success ? read.data : null
}
