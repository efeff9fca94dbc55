import type { Cluster, RedisOptions, Redis as Standalone } from 'ioredis'

/** The commands of either kind of Redis. */
export type RedisClient = Standalone | Cluster

export interface RedisPlace {
  /** One address, or the nodes of a cluster. */
  readonly urls: readonly string[]
  /** How long an answer may take, in milliseconds. */
  readonly timeoutMs: number
}

/** The longest pause between two connections, in milliseconds. */
const PAUSE_MAX_MS = 1000

/** What was a primary is one no more, or has lost its replicas to another one; its name may belong to that by now. Up to
 * Redis 6.2 an error within a script stands behind the script's name. */
const DEPOSED = /^(?:ERR Error running script .*: -)?(?:READONLY|MASTERDOWN|NOREPLICAS)\b/

/** Commands of one turn of the event loop are written together; scripts, and look-ups of several keys, say by themselves
 * all that a turn has to say. What announces a command, where a slot is being moved, must not come behind it. */
const PIPELINING = { enableAutoPipelining: true, autoPipeliningIgnoredCommands: ['eval', 'evalsha', 'mget', 'asking'] }

/** Connects to a Redis, or to a cluster, and again whenever the connection is lost. The library is loaded here, so that
 * who has no Redis does not pay for it.
 *
 * @param onError Told what a connection suffers; its calls fail without a word of it.
 * @returns The client, once the first attempt is over. */
export async function connectRedis(place: RedisPlace, onError: (error: unknown) => void): Promise<RedisClient> {
  const { urls, timeoutMs } = place
  const { Cluster, Redis: Standalone } = await import('ioredis')
  const [url = ''] = urls
  const common = {
    // Calls have a deadline of their own; this one is for what the library asks by itself, and knows no busy process.
    commandTimeout: 10 * timeoutMs,
    connectTimeout: 2000,
    ...PIPELINING,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
    reconnectOnError: ({ message }: Error) => DEPOSED.test(message),
  }
  const again = (times: number) => Math.min(50 * 2 ** Math.min(times, 10), PAUSE_MAX_MS)
  const client =
    urls.length > 1
      ? new Cluster([...urls], {
          clusterRetryStrategy: again,
          ...PIPELINING,
          lazyConnect: true,
          slotsRefreshTimeout: 2000,
          // A node that is gone fails its calls at once, and nothing is sent twice: what was not answered may be done.
          retryDelayOnFailover: 0,
          retryDelayOnClusterDown: 0,
          // A name stays a name: certificates are for names.
          dnsLookup: (name, found) => found(null, name),
          redisOptions: { ...common, ...forAllNodes(url) },
        })
      : new Standalone(url, { ...common, lazyConnect: true, retryStrategy: again })
  client.on('error', error => {
    onError(error)
    // The library goes on without what Redis refuses while a connection is made: in database 0, where another was asked.
    if (error.name === 'ReplyError') client.disconnect(true)
  })
  client.on('node error', onError)
  await client.connect().catch(() => {})
  return client
}

/** What holds for the nodes that a cluster tells of, too. */
function forAllNodes(url: string): RedisOptions {
  const { protocol, username, password } = new URL(url)
  return {
    username: decodeURIComponent(username),
    password: decodeURIComponent(password),
    ...(protocol === 'rediss:' && { tls: {} }),
  }
}

/** Lives with the limits, on their node. */
const TRIAL_KEY = '{citadel}:trial'
/** It writes, and by a script: a Redis that only reads is of no use to a limiter. */
const TRIAL = "return redis.call('SET', KEYS[1], '1', 'PX', 1000)"

/** Finds out whether Redis works; of a cluster, whether all of it does. Without a connection nothing is asked: what a
 * cluster is asked meanwhile would wait for it, however long that takes. */
export async function tryOut(client: RedisClient): Promise<unknown> {
  if (client.status !== 'ready') throw new Error('not connected')
  const writing = client.eval(TRIAL, 1, TRIAL_KEY)
  if (!('nodes' in client)) return writing
  return Promise.all([writing, ...client.nodes('master').map(node => node.ping())])
}

/** How many connections stand. */
export function countConnections(client: RedisClient): number {
  if (!('nodes' in client)) return client.status === 'ready' ? 1 : 0
  return client.nodes('all').filter(node => node.status === 'ready').length
}
