import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import { forgetCount, type RequestRecord } from '#core/record.ts'
import type { RecoveryWatch } from '#policies/recover.ts'
import { estimateUsage, usageSoFar } from './settle.ts'

/** Writes into the record what becomes of an answer that breaks off: the attempt that had committed failed after all,
 * and what it used is the operator's cost. */
export function watchRecovery(
  deps: { readonly clock: Clock; readonly journal: Journal },
  record: RequestRecord,
  call: Call,
): RecoveryWatch {
  /** Whether what the server counts is heard: until it has caught up, another's frames are compared and left out. */
  let isHeard = true
  return {
    onBroken(error, characters) {
      const entry = record.attempts.findLast(({ result }) => result === 'ok')
      if (entry === undefined) return
      entry.result = error.code
      entry.ms = deps.clock.now() - entry.startedAt
      entry.cause = error.cause
      entry.usage = isHeard ? usageSoFar(record, call, characters) : estimateUsage(call, characters)
      isHeard = false
    },
    onRecovered(how, { target, model }) {
      isHeard = true
      record.recovered = true
      // Its count is the answer's, and its price.
      record.model = model.name
      record.server = target.server.id
      record.upstreamModel = target.upstreamModel
      forgetCount(record)
      if (how === 'prefill') record.prefilled = true
      deps.journal.note({ type: 'stream-recovered', how })
    },
  }
}
