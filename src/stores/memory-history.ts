import type { History } from '#core/history.ts'
import type { RequestRecord } from '#core/record.ts'

/** About what a record, an attempt, a candidate and a model that was passed over take, in bytes. */
const RECORD_BYTES = 1024
const ATTEMPT_BYTES = 256
const CANDIDATE_BYTES = 64
const SKIP_BYTES = 64

/** Creates a history in the memory of this process: a ring in which a new request takes the place of the oldest.
 *
 * Without an index: requests are kept at every call, and asked for by a person now and then.
 *
 * @param options.entriesMax Requests that are kept at most.
 * @param options.bytesMax About how much memory they may take together. */
export function createMemoryHistory(options: { readonly entriesMax: number; readonly bytesMax: number }): History {
  const { entriesMax, bytesMax } = options
  const ring: (RequestRecord | undefined)[] = []
  /** What each takes, so that nobody has to look at the oldest one again, which has long left the processor's caches. */
  const sizes: number[] = []
  let oldest = 0
  let count = 0
  let bytes = 0

  function forgetOldest(): void {
    bytes -= sizes[oldest] ?? 0
    ring[oldest] = undefined
    oldest = (oldest + 1) % entriesMax
    count--
  }

  return {
    keep(record) {
      forgetStories(record)
      const size = bytesOf(record)
      bytes += size
      while (count > 0 && (count >= entriesMax || bytes > bytesMax)) forgetOldest()
      const at = (oldest + count) % entriesMax
      ring[at] = record
      sizes[at] = size
      count++
    },
    find: id => ring.find(record => record?.id === id) ?? null,
  }
}

/** Takes out of a record what nobody may be told later, which is also what could be large: causes, and texts of
 * callers. It is over, so that it is emptied itself: a copy of each would cost more than all the rest of its log. */
function forgetStories(record: RequestRecord): void {
  record.callerRequestId = null
  record.user = null
  record.session = null
  record.payload = null
  record.traceparent = null
  record.error = null
  for (const attempt of record.attempts) attempt.cause = null
}

function bytesOf({ attempts, plan, skipped }: RequestRecord): number {
  let bytes = RECORD_BYTES + attempts.length * ATTEMPT_BYTES
  if (plan !== null) {
    const { candidates, later, excluded } = plan
    bytes += (candidates.length + (later?.length ?? 0) + (excluded?.length ?? 0)) * CANDIDATE_BYTES
  }
  // Of fallbacks the names are the caller's, also of such that are none.
  if (skipped !== null) for (const { model } of skipped) bytes += SKIP_BYTES + model.length
  return bytes
}
