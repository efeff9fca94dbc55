import { promisify } from 'node:util'
import { zstdCompress, zstdDecompress } from 'node:zlib'
import { z } from 'zod'
import type { StoredAnswer } from '#core/idempotency.ts'
import { parseJson } from '#lib/json.ts'

/** Smaller answers are not worth the time of compressing. */
const COMPRESS_BYTES_MIN = 4096
const LINE_FEED = 10

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/** The line that stands before the body of an answer. */
const line = z.object({ format: z.literal(1), compressed: z.boolean(), status: z.number(), contentType: z.string() })

/** Writes an answer as bytes: a line of JSON, then its body, compressed when it is long; a short one at once. */
export function writeStored({ status, contentType, body }: StoredAnswer): Buffer | Promise<Buffer> {
  const bytes = Buffer.from(body)
  const compressed = bytes.length >= COMPRESS_BYTES_MIN
  const head: z.input<typeof line> = { format: 1, compressed, status, contentType }
  const first = Buffer.from(`${JSON.stringify(head)}\n`)
  return compressed ? compress(bytes).then(rest => Buffer.concat([first, rest])) : Buffer.concat([first, bytes])
}

/** Reads what `writeStored` has written; `null` for anything else. */
export async function readStored(bytes: Buffer): Promise<StoredAnswer | null> {
  const end = bytes.indexOf(LINE_FEED)
  const head = end < 0 ? null : line.safeParse(parseJson(bytes.subarray(0, end).toString()))
  if (head === null || !head.success) return null
  const rest = bytes.subarray(end + 1)
  const { status, contentType, compressed } = head.data
  try {
    return { status, contentType, body: (compressed ? await decompress(rest) : rest).toString() }
  } catch {
    return null
  }
}
