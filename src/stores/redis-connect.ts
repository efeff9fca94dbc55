import type { Cluster, RedisOptions, Redis as Standalone } from 'ioredis'

/** The client of a single Redis or of a cluster. */
export type RedisClient = Standalone | Cluster

export interface RedisPlace {
  /** One address, or the nodes of a cluster. */
  readonly urls: readonly string[]
  /** How long an answer may take, in milliseconds. */
  readonly timeoutMs: number
}

/** The longest pause before connecting again, in milliseconds. */
const PAUSE_MAX_MS = 1000

/** Errors of a primary that has become a replica, or has lost its replicas to another primary. The client then connects
 * again, because the host name may lead to the new primary by now. Up to Redis 6.2 an error within a script is prefixed
 * with the script's name. */
const DEPOSED = /^(?:ERR Error running script .*: -)?(?:READONLY|MASTERDOWN|NOREPLICAS)\b/

/** Commands of one turn of the event loop are written together. Excepted are scripts and MGET, which the stores batch
 * themselves, and ASKING, which must be sent directly before the command that it announces. */
const PIPELINING = { enableAutoPipelining: true, autoPipeliningIgnoredCommands: ['eval', 'evalsha', 'mget', 'asking'] }

/** Connects to a Redis or to a cluster, and reconnects whenever the connection is lost. The library is loaded here, so that
 * an installation without Redis does not load it.
 *
 * @param onError Called with the errors of the connection. The commands that they break fail with other, empty errors.
 * @returns The client, after the first attempt to connect, whether or not it succeeded. */
export async function connectRedis(place: RedisPlace, onError: (error: unknown) => void): Promise<RedisClient> {
  const { urls, timeoutMs } = place
  const { Cluster, Redis: Standalone } = await import('ioredis')
  const [url = ''] = urls
  const common = {
    // For the library's own commands only: those of the stores have a shorter deadline in `redis.ts`, which, unlike this
    // one, takes a busy process into account.
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
          // Commands to a lost node fail at once and are not sent again: an unanswered command may have been executed.
          retryDelayOnFailover: 0,
          retryDelayOnClusterDown: 0,
          // Host names are not resolved here, because certificates are checked against names.
          dnsLookup: (name, found) => found(null, name),
          redisOptions: { ...common, ...forAllNodes(url) },
        })
      : new Standalone(url, { ...common, lazyConnect: true, retryStrategy: again })
  client.on('error', error => {
    onError(error)
    // The library goes on when Redis refuses a command of the connection setup, such as SELECT: it would use database 0.
    if (error.name === 'ReplyError') client.disconnect(true)
  })
  client.on('node error', onError)
  // Of a cluster that is not whole at first the library never settles this, and connects again all the same.
  const closed = new Promise(resolve => client.once('close', resolve))
  await Promise.race([client.connect().catch(() => {}), closed])
  return client
}

/** The options of the first address that also hold for the nodes that a cluster reports. */
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
