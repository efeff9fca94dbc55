import { connectRedis, type RedisClient, type RedisPlace, tryOut } from './redis-connect.ts'
import { isReply } from './redis-errors.ts'

/** What one look at a Redis found. */
export interface RedisFound {
  readonly version: string
  readonly ms: number
  /** How many bytes it may hold until it takes no more writes, of a cluster the least of its nodes; `null` if it makes
   * room, or has no bound. */
  readonly fullAt: number | null
  /** The nodes of a cluster that are listed and do not answer, with the reason; it is used all the same. */
  readonly away: readonly string[]
}

/** Looks at a Redis once: connects, signs in, writes as the gateway does, reads what it says of itself, and leaves.
 *
 * @throws Error with what Redis, or the connection to it, says. */
export async function checkRedis(place: RedisPlace): Promise<RedisFound> {
  const { urls, timeoutMs } = place
  if (urls.length > 1) return checkCluster(place)
  const found = await withNode(urls[0] ?? '', timeoutMs, client => lookAt(client, [client]))
  return { ...found, away: [] }
}

async function checkCluster(place: RedisPlace): Promise<RedisFound> {
  const { urls, timeoutMs } = place
  const listed = [...new Set(urls)]
  const looks = await Promise.allSettled(listed.map(url => withNode(url, timeoutMs, node => node.cluster('INFO'))))
  const failures = looks.flatMap((look, index) =>
    look.status === 'rejected' ? [{ host: URL.parse(listed[index] ?? '')?.host, reason: look.reason }] : [],
  )
  if (failures.length === listed.length) throw failures[0]?.reason
  const suffered: unknown[] = []
  // A command of the library may take ten times as long as is allowed to those of the stores.
  const client = await connectRedis({ urls, timeoutMs: timeoutMs / 10 }, error => suffered.push(error))
  try {
    const found = await lookAt(client, 'nodes' in client ? client.nodes('master') : [])
    return { ...found, away: failures.map(({ host, reason }) => `${host} (${wordsOf(reason)})`) }
  } catch (thrown) {
    // What a node has said comes before why another one that is listed was not reached.
    throw isReply(thrown) ? thrown : (suffered[0] ?? thrown)
  } finally {
    client.disconnect()
  }
}

/** What the gateway itself does with a Redis, and what its nodes say of themselves. */
async function lookAt(
  client: RedisClient,
  nodes: readonly Pick<RedisClient, 'info'>[],
): Promise<Omit<RedisFound, 'away'>> {
  const askedAt = performance.now()
  await tryOut(client)
  const ms = performance.now() - askedAt
  const told = await Promise.all(
    nodes.map(async node => [await node.info('server'), await node.info('memory')] as const),
  )
  const bounds = told.flatMap(([, memory]) => fullAtOf(memory) ?? [])
  return {
    version: /redis_version:(\S+)/.exec(told[0]?.[0] ?? '')?.[1] ?? 'unknown',
    ms,
    fullAt: bounds.length === 0 ? null : Math.min(...bounds),
  }
}

/** Connects to one node alone, once. */
async function withNode<T>(url: string, timeoutMs: number, look: (client: RedisClient) => Promise<T>): Promise<T> {
  const { Redis } = await import('ioredis')
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    disableClientInfo: true,
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  })
  const suffered: Error[] = []
  // `connect()` says only that the connection is closed; why it is comes by this way. So does what Redis refuses of it.
  client.on('error', error => suffered.push(error))
  try {
    await client.connect()
    if (suffered[0] !== undefined) throw suffered[0]
    return await look(client)
  } catch (thrown) {
    throw suffered[0] ?? thrown
  } finally {
    client.disconnect()
  }
}

function wordsOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason)
}

function fullAtOf(memory: string): number | null {
  const bytes = Number(/maxmemory:(\d+)/.exec(memory)?.[1] ?? 0)
  return bytes > 0 && /maxmemory_policy:noeviction\b/.test(memory) ? bytes : null
}
