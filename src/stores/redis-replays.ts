import type { Clock } from '#core/clock.ts'
import { type Replays, SIGNATURE_TOLERANCE_MS } from '#core/guards.ts'
import type { Redis } from './redis.ts'

const PREFIX = 'citadel:signature:'

/** Remembers signatures for all processes, and in this one, too: while Redis is away each is good once a process. */
export function createRedisReplays(options: {
  readonly redis: Pick<Redis, 'use' | 'available'>
  readonly local: Replays
  readonly clock: Pick<Clock, 'time'>
}): Replays {
  const { redis, local, clock } = options

  async function isNew(owner: string, signature: string, timestamp: number): Promise<boolean> {
    const ms = Math.max(1, Math.ceil(timestamp + SIGNATURE_TOLERANCE_MS - clock.time()) + 1)
    const key = `${PREFIX}${owner}:${signature}`
    // Redis counts by its own clock; twice the tolerance is more than a clock may be off.
    return (await redis.use(client => client.set(key, '1', 'PX', ms + SIGNATURE_TOLERANCE_MS, 'NX'))) !== null
  }

  return {
    async take(owner, signature, timestamp) {
      if (!(await local.take(owner, signature, timestamp))) return false
      return redis.available() ? isNew(owner, signature, timestamp).catch(() => true) : true
    },
  }
}
