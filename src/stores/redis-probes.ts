import type { ProbeBoard } from '#core/probes.ts'
import type { Redis } from './redis.ts'

/** Creates a board in Redis. */
export function createRedisProbes(redis: Redis): ProbeBoard {
  const keyOf = (server: string) => `probe:${server}`
  return {
    async since(server, at) {
      const text = await redis.use(client => client.get(keyOf(server)))
      const [postedAt = 0, latencyMs = 0] = (text ?? '0 0').split(' ').map(Number)
      return postedAt > 0 && postedAt >= at ? { at: postedAt, latencyMs } : null
    },
    async post(server, { at, latencyMs }, forMs) {
      await redis.use(client => client.set(keyOf(server), `${Math.floor(at)} ${latencyMs}`, 'PX', Math.ceil(forMs)))
    },
  }
}
