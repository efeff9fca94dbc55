import type { Clock } from '#core/clock.ts'
import { connectRedis, countConnections, type RedisClient, type RedisPlace, tryOut } from './redis-connect.ts'

export type { RedisClient } from './redis-connect.ts'

export interface RedisOptions extends RedisPlace {
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

/** What Redis says when it is there but of no use: full, read-only, loading, or a cluster with a hole. Up to Redis 6.2 an
 * error within a script stands behind the script's name. */
const USELESS =
  /^(?:ERR Error running script .*: -)?(?:BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOAUTH|NOPERM|NOREPLICAS|OOM|READONLY|TRYAGAIN|WRONGPASS)\b/
/** What it says when it does not let this user, or anybody, do what the stores do. */
const FORBIDDEN = /^ERR (?:unknown command|(?:Error running script .*: )?The user executing the script can't)/
/** What a node of a cluster says to whom takes it for all of Redis. */
const ELSEWHERE = /^MOVED\b/
/** What the library says where it has no connection. */
const UNTOLD =
  /^(?:Stream isn't writeable|Connection is closed|Cluster isn't ready|Failed to refresh slots|None of startup nodes)/
/** The pause before Redis is tried again: the first, and the longest, in milliseconds. */
const PAUSE = { first: 50, longest: 1000 }
/** Redis must stay this long before the next loss counts as a new one, in milliseconds. */
const STEADY_MS = 10_000
/** After so many trials without an answer the connection is thought dead and made anew. */
const SILENT_TRIALS_MAX = 3
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
    if (!isUntold(error)) suffered = error
  }
  let opening: Promise<unknown> | null = connectRedis(options, onError).then(
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
      const { slow } = await answerOf(tryOut(client), clock, timeoutMs)
      if (slow) throw new Error('slow')
      available = true
      suffered = null
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
        if (isAnswer(thrown, client)) throw thrown
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

/** Whether Redis answered, if with an error, and works. */
function isAnswer(thrown: unknown, client: RedisClient): boolean {
  if (!(thrown instanceof Error) || thrown.name !== 'ReplyError') return false
  const { message } = thrown
  return !USELESS.test(message) && !FORBIDDEN.test(message) && ('nodes' in client || !ELSEWHERE.test(message))
}

/** Whether a call was failed because there is no connection, and not why there is none. */
function isUntold(thrown: unknown): boolean {
  return thrown instanceof Error && UNTOLD.test(thrown.message)
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
