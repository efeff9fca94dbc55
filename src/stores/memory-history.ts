import type { History } from '#core/history.ts'
import type { RequestRecord } from '#core/record.ts'

/** About what a record, an attempt and a candidate take, in bytes. */
const RECORD_BYTES = 1024
const ATTEMPT_BYTES = 256
const CANDIDATE_BYTES = 64

/** Creates a history in the memory of this process: a ring in which a new request takes the place of the oldest.
 *
 * @param options.entriesMax Requests that are kept at most.
 * @param options.bytesMax About how much memory they may take together. */
export function createMemoryHistory(options: { readonly entriesMax: number; readonly bytesMax: number }): History {
  const { entriesMax, bytesMax } = options
  const running = new Map<string, RequestRecord>()
  const kept = new Map<string, RequestRecord>()
  const ring: (RequestRecord | undefined)[] = []
  let oldest = 0
  let bytes = 0

  function forgetOldest(): void {
    const record = ring[oldest]
    if (record === undefined) return
    kept.delete(record.id)
    bytes -= bytesOf(record)
    ring[oldest] = undefined
    oldest = (oldest + 1) % entriesMax
  }

  return {
    begin: record => void running.set(record.id, record),
    keep(record) {
      running.delete(record.id)
      forgetStories(record)
      bytes += bytesOf(record)
      while (kept.size > 0 && (kept.size >= entriesMax || bytes > bytesMax)) forgetOldest()
      ring[(oldest + kept.size) % entriesMax] = record
      kept.set(record.id, record)
    },
    drop: id => void running.delete(id),
    find(id) {
      const record = running.get(id)
      if (record !== undefined) return { record, running: true }
      const over = kept.get(id)
      return over === undefined ? null : { record: over, running: false }
    },
  }
}

/** Takes out of a record what nobody may be told later, which is also what could be large: causes, and texts of
 * callers. It is over, so that it is emptied itself: a copy of each would cost more than all the rest of its log. */
function forgetStories(record: RequestRecord): void {
  record.callerRequestId = null
  record.traceparent = null
  record.error = null
  for (const attempt of record.attempts) attempt.cause = null
}

function bytesOf({ attempts, plan }: RequestRecord): number {
  return RECORD_BYTES + attempts.length * ATTEMPT_BYTES + (plan?.candidates.length ?? 0) * CANDIDATE_BYTES
}
