import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import { forgetCount, type RequestRecord } from '#core/record.ts'
import type { RecoveryWatch } from '#policies/recover.ts'
import { estimateUsage, usageSoFar } from './settle.ts'

/** Records what happens to an answer that breaks off: the attempt that had committed has failed after all, and what it
 * used is a cost of the operator. */
export function watchRecovery(
  deps: { readonly clock: Clock; readonly journal: Journal },
  record: RequestRecord,
  call: Call,
): RecoveryWatch {
  /** Whether token counts of the server are used. Until it has repeated what was delivered, its frames are only
   * compared. */
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
      // The answer has the token count and the price of the server that continued it.
      record.model = model.name
      record.server = target.server.id
      record.upstreamModel = target.upstreamModel
      forgetCount(record)
      if (how === 'prefill') record.prefilled = true
      deps.journal.note({ type: 'stream-recovered', how })
    },
  }
}
