import { LRUCache } from 'lru-cache'
import type { Clock } from '#core/clock.ts'
import { FAILURE_PERIOD_MS, type FailureSettings, type Failures } from '#core/guards.ts'
import { clientNetwork } from '#lib/net.ts'

/** How many clients are remembered; above that, those used least recently are forgotten. */
const CLIENTS_MAX = 10_000

/** Counts failures in the memory of this process. */
export function createMemoryFailures(options: FailureSettings & { readonly clock: Pick<Clock, 'now'> }): Failures & {
  waitMs(address: string): number
} {
  const { clock, perMinute } = options
  /** For each client the time at which all its failures are forgotten, in monotonic milliseconds: a bucket of the
   * generic cell rate algorithm (GCRA). */
  const forgotten = new LRUCache<string, number>({ max: CLIENTS_MAX })
  return {
    quiet: () => forgotten.size === 0,
    note(address) {
      const limit = perMinute()
      if (limit === 0 || address === '') return
      const client = clientNetwork(address)
      forgotten.set(client, Math.max(forgotten.get(client) ?? 0, clock.now()) + FAILURE_PERIOD_MS / limit)
    },
    waitMs(address) {
      if (forgotten.size === 0) return 0
      const limit = perMinute()
      if (limit === 0) return 0
      const at = forgotten.get(clientNetwork(address))
      return at === undefined ? 0 : Math.max(0, at + FAILURE_PERIOD_MS / limit - FAILURE_PERIOD_MS - clock.now())
    },
  }
}
