import type { Cluster, Redis as Standalone } from 'ioredis'
import type { Clock } from '#core/clock.ts'

/** The commands of either kind of Redis. */
export type RedisClient = Standalone | Cluster

export interface RedisOptions {
  /** One address, or the nodes of a cluster. */
  readonly urls: readonly string[]
  /** How long an answer may take, in milliseconds. */
  readonly timeoutMs: number
  readonly clock: Clock
  /** Told when Redis is lost and when it is back. */
  readonly onChange?: (change: { readonly available: boolean; readonly reason: string }) => void
}

/** A connection that is opened in the background, kept, and left alone while it does not answer. */
export interface Redis {
  /** Runs a command, or several at once.
   *
   * @throws RedisAway when Redis is known not to answer (at once), does not answer in time, or refuses to work; any
   * other error of a command passes as it is. */
  use<T>(work: (client: RedisClient) => Promise<T>): Promise<T>
  /** Whether Redis answers as far as is known: where it does not, `use` fails without asking. */
  available(): boolean
  /** Connections that stand. */
  connections(): number
  close(): void
}

/** Redis does not answer, or cannot work; the story is in `cause`. */
export class RedisAway extends Error {
  constructor(cause: unknown) {
    super('Redis does not answer.', { cause })
    this.name = 'RedisAway'
  }
}

/** What Redis says when it is there but of no use: full, read-only, loading, or a cluster with a hole. */
const USELESS =
  /^(?:BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOAUTH|NOPERM|NOREPLICAS|OOM|READONLY|TRYAGAIN|WRONGPASS)\b/
/** The pause before Redis is tried again: the first, and the longest, in milliseconds. */
const PAUSE = { first: 50, longest: 1000 }
/** Redis must stay this long before the next loss counts as a new one, in milliseconds. */
const STEADY_MS = 10_000
/** After so many trials without an answer the connection is thought dead and made anew. */
const SILENT_TRIALS_MAX = 3
/** Written by each trial: a Redis that only reads is of no use to a limiter. Lives with the limits, on their node. */
const TRIAL_KEY = '{citadel}:trial'

/** Commands of one turn of the event loop are written together; scripts, and look-ups of several keys, say by themselves
 * all that a turn has to say. */
const PIPELINING = { enableAutoPipelining: true, autoPipeliningIgnoredCommands: ['eval', 'evalsha', 'mget'] }

/** Opens a connection to Redis, in the background.
 *
 * The first call that is not answered in time, or takes more than half of the time, takes Redis out of use; from then
 * on trials in the background find out when it is back, so that nobody waits for it a second time. Until the first
 * connection stands, or its time is over, calls wait for it. */
export function openRedis(options: RedisOptions): Redis {
  const { clock, timeoutMs, onChange } = options
  let client: RedisClient | null = null
  let available = true
  let closed = false
  let pause = PAUSE.first
  let lostAt = -Infinity
  let silent = 0
  let stopWaiting: (() => void) | null = null
  /** What the connection itself has suffered last: the library fails calls without a word of it. */
  let suffered: unknown = null
  const onError = (error: unknown) => {
    suffered = error
  }
  let opening: Promise<unknown> | null = connect(options, onError).then(
    made => {
      client = made
      if (closed) made.disconnect()
    },
    thrown => lose(thrown),
  )
  const first = answerOf(opening, clock, timeoutMs).catch(lose)
  opening = first.finally(() => {
    opening = null
  })

  function lose(thrown: unknown): void {
    if (!available || closed) return
    available = false
    pause = clock.now() - lostAt > STEADY_MS ? PAUSE.first : Math.min(pause * 2, PAUSE.longest)
    lostAt = clock.now()
    silent = 0
    onChange?.({ available, reason: reasonOf(isUntold(thrown) ? (suffered ?? thrown) : thrown) })
    tryLater()
  }

  function tryLater(): void {
    if (!closed) stopWaiting = clock.after(pause, tryNow)
  }

  async function tryNow(): Promise<void> {
    try {
      if (client === null) throw new Error('not connected yet')
      const { slow } = await answerOf(client.set(TRIAL_KEY, '1', 'PX', 1000), clock, timeoutMs)
      if (slow) throw new Error('slow')
      available = true
      lostAt = clock.now()
      onChange?.({ available, reason: 'it answers again' })
    } catch (thrown) {
      if (thrown instanceof TimedOut && ++silent % SILENT_TRIALS_MAX === 0) client?.disconnect(true)
      pause = Math.min(pause * 2, PAUSE.longest)
      tryLater()
    }
  }

  return {
    async use(work) {
      if (opening !== null) await opening
      if (!available || client === null) throw new RedisAway('known not to answer')
      const since = clock.now()
      try {
        const { answer, slow } = await answerOf(work(client), clock, timeoutMs)
        if (slow) lose(new Error(`an answer took ${Math.round(clock.now() - since)} ms`))
        return answer
      } catch (thrown) {
        if (isAnswer(thrown)) throw thrown
        lose(thrown)
        throw new RedisAway(thrown)
      }
    },
    available: () => available,
    connections: () => (client === null ? 0 : countConnections(client)),
    close() {
      closed = true
      stopWaiting?.()
      client?.disconnect()
    },
  }
}

/** The library is loaded here, so that who has no Redis does not pay for it. */
async function connect({ urls, timeoutMs }: RedisOptions, onError: (error: unknown) => void): Promise<RedisClient> {
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
    reconnectOnError: ({ message }: Error) => message.startsWith('READONLY'),
  }
  const again = (times: number) => Math.min(50 * 2 ** Math.min(times, 10), PAUSE.longest)
  const client =
    urls.length > 1
      ? new Cluster([...urls], {
          clusterRetryStrategy: again,
          ...PIPELINING,
          enableOfflineQueue: false,
          lazyConnect: true,
          slotsRefreshTimeout: 2000,
          redisOptions: { ...common, ...(url.startsWith('rediss:') && { tls: {} }) },
        })
      : new Standalone(url, { ...common, lazyConnect: true, retryStrategy: again })
  // What a connection suffers fails its calls.
  client.on('error', onError)
  await client.connect().catch(() => {})
  return client
}

function countConnections(client: RedisClient): number {
  if (!('nodes' in client)) return client.status === 'ready' ? 1 : 0
  return client.nodes('all').filter(node => node.status === 'ready').length
}

/** Whether Redis answered, if with an error, and works. */
function isAnswer(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'ReplyError' && !USELESS.test(thrown.message)
}

/** Whether a call was failed because there is no connection, and not why there is none. */
function isUntold(thrown: unknown): boolean {
  return thrown instanceof Error && /^(?:Stream isn't writeable|Connection is closed)/.test(thrown.message)
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message.slice(0, 200) : 'it does not answer'
}

class TimedOut extends Error {}

interface Answer<T> {
  readonly answer: T
  /** Whether it took more than half of the time. */
  readonly slow: boolean
}

/** Waits for an answer. What came in time while this process was busy is in time: before a clock is believed, what has
 * arrived is read.
 *
 * @throws TimedOut when there is none after `ms`. */
function answerOf<T>(work: Promise<T>, clock: Clock, ms: number): Promise<Answer<T>> {
  return new Promise((resolve, reject) => {
    let slow = false
    let over = false
    let disarm = () => {}
    const runIn = (waitMs: number, run: () => void) => {
      disarm = clock.after(waitMs, () => afterReading(run))
    }
    runIn(ms / 2, () => {
      slow = true
      if (!over) runIn(ms / 2, () => reject(new TimedOut(`no answer within ${ms} ms`)))
    })
    const settle = (run: () => void) => {
      over = true
      disarm()
      run()
    }
    work.then(
      answer => settle(() => resolve({ answer, slow })),
      thrown => settle(() => reject(thrown)),
    )
  })
}

/** Runs when every socket was read once more. */
function afterReading(run: () => void): void {
  setImmediate(() => setImmediate(run))
}
