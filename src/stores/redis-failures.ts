import { FAILURE_PERIOD_MS, type FailureSettings, type Failures } from '#core/guards.ts'
import { clientNetwork } from '#lib/net.ts'
import type { Redis } from './redis.ts'
import { redisScript } from './redis-script.ts'

/** What every key begins with; the tag keeps them on one node of a cluster. */
const PREFIX = '{citadel}:failures:'
const failScript = redisScript('fail', 'now')

/** Counts failures for all processes, and in this one, too: while Redis is away it goes on with what it knows.
 *
 * @param options.time Milliseconds, in place of the clock of Redis. */
export function createRedisFailures(
  options: FailureSettings & {
    readonly redis: Pick<Redis, 'use' | 'available'>
    readonly local: Failures
    readonly time?: () => number
  },
): Failures {
  const { redis, local, perMinute, time = () => '' } = options

  /** Milliseconds until all failures of a client are forgotten. */
  async function debtOf(address: string, more: number): Promise<number> {
    const values = [clientNetwork(address), time(), more]
    return Number(await redis.use(client => failScript(client, PREFIX, values)))
  }

  return {
    quiet: () => !redis.available() && local.quiet(),
    note(address) {
      local.note(address)
      const limit = perMinute()
      if (limit === 0 || address === '' || !redis.available()) return
      debtOf(address, FAILURE_PERIOD_MS / limit).catch(ignore)
    },
    waitMs(address) {
      const limit = perMinute()
      const own = local.waitMs(address)
      if (limit === 0 || address === '' || !redis.available()) return own
      return Promise.all([own, debtOf(address, 0)]).then(
        ([alone, debt]) => Math.max(alone, debt + FAILURE_PERIOD_MS / limit - FAILURE_PERIOD_MS, 0),
        () => own,
      )
    },
  }
}

/** What was not counted there is counted here. */
function ignore(): void {}
