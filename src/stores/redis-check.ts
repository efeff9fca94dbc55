import { tryOut } from './redis-connect.ts'

/** What one look at a Redis found. */
export interface RedisFound {
  readonly version: string
  readonly ms: number
}

/** Looks at a Redis once: connects, signs in, writes as the gateway does, reads its version, and leaves.
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
    const info = await client.info('server')
    return { version: /redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown', ms }
  } catch (thrown) {
    throw suffered[0] ?? thrown
  } finally {
    client.disconnect()
  }
}
