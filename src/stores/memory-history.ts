import type { History } from '#core/history.ts'
import type { RequestRecord } from '#core/record.ts'

/** About how many bytes a record, an attempt, a candidate and a skipped model take. */
const RECORD_BYTES = 1024
const ATTEMPT_BYTES = 256
const CANDIDATE_BYTES = 64
const SKIP_BYTES = 64

/** Creates a history in the memory of this process: a ring in which a new request takes the place of the oldest.
 *
 * There is no index: every call adds a request, and people look one up only now and then.
 *
 * @param options.entriesMax How many requests are kept at most.
 * @param options.bytesMax About how many bytes they may take together. */
export function createMemoryHistory(options: { readonly entriesMax: number; readonly bytesMax: number }): History {
  const { entriesMax, bytesMax } = options
  const ring: (RequestRecord | undefined)[] = []
  /** The size of each record in bytes. Kept, because to compute it again would read the oldest record, which is no
   * longer in the caches of the processor. */
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

/** Removes from a record what must not be shown later and may be large: causes, and texts of callers. The request is
 * over, so the record itself is changed: a copy of each would cost more than the rest of its logging. */
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
  // The names of fallbacks were written by the caller: they may be long, and need not be models.
  if (skipped !== null) for (const { model } of skipped) bytes += SKIP_BYTES + model.length
  return bytes
}
