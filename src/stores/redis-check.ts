import { tryOut } from './redis-connect.ts'

/** What one look at a Redis found. */
export interface RedisFound {
  readonly version: string
  readonly ms: number
  /** How many bytes it may hold until it takes no more writes; `null` if it makes room, or has no bound. */
  readonly fullAt: number | null
}

/** Looks at a Redis once: connects, signs in, writes as the gateway does, reads what it says of itself, and leaves.
 *
 * @throws Error with what Redis, or the connection to it, says. */
export async function checkRedis(options: {
  /** One address, or the nodes of a cluster: the first that is tried answers for all. */
  readonly urls: readonly string[]
  readonly timeoutMs: number
}): Promise<RedisFound> {
  const { Redis } = await import('ioredis')
  const client = new Redis(options.urls[0] ?? '', {
    lazyConnect: true,
    connectTimeout: options.timeoutMs,
    disableClientInfo: true,
    commandTimeout: options.timeoutMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  })
  const suffered: Error[] = []
  // `connect()` says only that the connection is closed; why it is comes by this way. So does what Redis refuses of it.
  client.on('error', error => suffered.push(error))
  try {
    await client.connect()
    if (suffered[0] !== undefined) throw suffered[0]
    const askedAt = performance.now()
    if (options.urls.length === 1) await tryOut(client)
    else await client.ping()
    const ms = performance.now() - askedAt
    const server = await client.info('server')
    const fullAt = fullAtOf(await client.info('memory'))
    return { version: /redis_version:(\S+)/.exec(server)?.[1] ?? 'unknown', ms, fullAt }
  } catch (thrown) {
    throw suffered[0] ?? thrown
  } finally {
    client.disconnect()
  }
}

function fullAtOf(memory: string): number | null {
  const bytes = Number(/maxmemory:(\d+)/.exec(memory)?.[1] ?? 0)
  return bytes > 0 && /maxmemory_policy:noeviction\b/.test(memory) ? bytes : null
}
