/** What the tests of connections to Redis run as a process of its own, which has an authority of its own: `URL…`. Sets many
 * keys, and says what came of it. */
import { systemClock } from '#core/clock.ts'
import { openRedis } from '#stores/redis.ts'

const KEYS = 50
const clock = systemClock()
const redis = openRedis({
  ...{ urls: process.argv.slice(2), timeoutMs: 5000, clock },
  onChange: ({ reason }) => console.log(reason),
})
const keys = Array.from({ length: KEYS }, (_, index) => `key ${index}`)
const set = await Promise.allSettled(keys.map(key => redis.use(client => client.set(key, key))))
console.log(set.filter(({ status }) => status === 'fulfilled').length)
redis.close()
