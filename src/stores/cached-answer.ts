import { promisify } from 'node:util'
import { zstdCompress, zstdDecompress } from 'node:zlib'
import { z } from 'zod'
import type { CachedAnswer } from '#core/cache.ts'
import { parseJson } from '#lib/json.ts'

/** Within so many bytes of the beginning everything is said that decides whether an answer is to be forgotten. */
export const HEADER_BYTES_MAX = 4096
/** Smaller answers are not worth the time of compressing. */
const COMPRESS_BYTES_MIN = 4096
const FORMAT = 1
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
})

const texts = z.object({ text: z.string(), count: z.string(), pace: z.array(z.number()) })

/** Writes an answer as bytes: a line of JSON, then its texts, compressed when they are long; `null` when the line is
 * longer than it may be. */
export async function writeAnswer(answer: CachedAnswer): Promise<Buffer | null> {
  const { text, count, pace, ...own } = answer
  const rest = Buffer.from(JSON.stringify({ text, count, pace }))
  const compressed = rest.length >= COMPRESS_BYTES_MIN
  const head: z.input<typeof line> = { format: FORMAT, compressed, ...own }
  const first = Buffer.from(`${JSON.stringify(head)}\n`)
  if (first.length > HEADER_BYTES_MAX) return null
  return Buffer.concat([first, compressed ? await compress(rest) : rest])
}

/** Reads what `writeAnswer` has written; `null` for anything else. */
export async function readAnswer(bytes: Buffer): Promise<CachedAnswer | null> {
  const header = readHeader(bytes)
  if (header === null) return null
  const { compressed, format: _, ...own } = header
  const rest = bytes.subarray(bytes.indexOf(LINE_FEED) + 1)
  try {
    const read = texts.safeParse(parseJson((compressed ? await decompress(rest) : rest).toString()))
    return read.success ? { ...own, ...read.data } : null
  } catch {
    return null
  }
}

/** Reads the line of an answer, of which the rest need not be there. */
export function readHeader(bytes: Buffer): z.output<typeof line> | null {
  const end = bytes.indexOf(LINE_FEED)
  const read = end < 0 ? null : line.safeParse(parseJson(bytes.subarray(0, end).toString()))
  return read?.success ? read.data : null
}
