import { capOf, type Hold, type HoldVerdict, type SharedHolds } from '#core/ledger.ts'
import type { Redis } from './redis.ts'
import { redisScript } from './redis-script.ts'

/** What every key begins with; the tag keeps them on one node of a cluster. */
const PREFIX = '{citadel}:money:'
/** Accounts are of days and months. */
const REMEMBERED_MS = 40 * 86_400_000
/** How long the row of a request may be on its way into the ledger. */
const UNWRITTEN_MS = 86_400_000

const holdScript = redisScript('hold')
const spendScript = redisScript('spend')

/** Holds in Redis, which many processes share: one script sets money aside in all accounts or in none. */
export function createRedisHolds(redis: Pick<Redis, 'use' | 'available'>): SharedHolds {
  return {
    available: redis.available,
    async take(hold: Hold, ledger: string): Promise<HoldVerdict | null> {
      const { request, accounts, nano, expiresAt } = hold
      const values: (string | number)[] = [ledger, request, nano, expiresAt]
      for (const account of accounts) values.push(`${account.id} ${account.period}`, capOf(hold, account))
      const answer = await redis.use(client => holdScript(client, PREFIX, values))
      const [refused = 0, ...used] = Array.isArray(answer) ? answer.map(Number) : []
      return refused < 0 ? null : { refused: accounts[refused - 1] ?? null, used }
    },
    async follow({ now, spent, over, written }) {
      const values: (string | number)[] = [now, REMEMBERED_MS, now + UNWRITTEN_MS, spent.length, over.length]
      for (const { id, period, nano, ledger, version } of spent) values.push(`${id} ${period}`, ledger, version, nano)
      for (const { request, nano } of over) values.push(request, nano)
      values.push(...written)
      return Number(await redis.use(client => spendScript(client, PREFIX, values)))
    },
    holds: async () => Number(await redis.use(client => client.zcard(`${PREFIX}ends`))),
  }
}
