/** What one look at a Redis found. */
export interface RedisFound {
  readonly version: string
  readonly ms: number
}

/** Looks at a Redis once: connects, signs in, writes, reads its version, and leaves.
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
    commandTimeout: options.timeoutMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  })
  let first: Error | null = null
  // `connect()` says only that the connection is closed; why it is comes by this way.
  client.on('error', error => {
    first ??= error
  })
  try {
    await client.connect()
    const askedAt = performance.now()
    if (options.urls.length === 1) await client.set('{citadel}:doctor', '1', 'PX', 1000)
    else await client.ping()
    const ms = performance.now() - askedAt
    const info = await client.info('server')
    return { version: /redis_version:(\S+)/.exec(info)?.[1] ?? 'unknown', ms }
  } catch (thrown) {
    throw first ?? thrown
  } finally {
    client.disconnect()
  }
}
