import type { Clock } from '#core/clock.ts'
import { answerOf, TimedOut } from './redis-answer.ts'
import { connectRedis, countConnections, type RedisClient, type RedisPlace, tryOut } from './redis-connect.ts'
import { isAnswer, isReply, isUntold, lacksRights, reasonOf } from './redis-errors.ts'

export type { RedisClient } from './redis-connect.ts'

export interface RedisOptions extends RedisPlace {
  readonly clock: Clock
  /** Called when Redis stops answering, when it says why it cannot be had again, and when it answers again. */
  readonly onChange?: (change: { readonly available: boolean; readonly reason: string }) => void
}

/** A connection that is opened in the background, and not used while Redis does not answer. */
export interface Redis {
  /** Runs one or several commands.
   *
   * @throws RedisAway immediately while Redis is known not to answer; also when it does not answer in time, or answers
   * that it cannot work (full, read-only, loading, wrong password). Other errors of commands are thrown as they are. */
  use<T>(work: (client: RedisClient) => Promise<T>): Promise<T>
  /** Whether Redis answered last time; while it is false, `use` fails without asking. */
  available(): boolean
  /** Has this called each time that Redis answers again, before anybody else uses it. */
  onBack(run: () => void): void
  /** How many connections are open. */
  connections(): number
  close(): void
}

/** Redis does not answer, or cannot work; `cause` has the reason. */
export class RedisAway extends Error {
  constructor(cause: unknown) {
    super('Redis does not answer.', { cause })
    this.name = 'RedisAway'
  }
}

/** The pause before the next trial where this user lacks a right, in milliseconds. What is tried needs few rights: sooner it
 * would only be back until the next call that needs the others, and give a limit anew each time. */
const RIGHTS_PAUSE_MS = 30_000
/** The pause before the next trial while Redis does not answer; it doubles from the first to the longest, in ms. */
const PAUSE = { first: 50, longest: 1000 }
/** If Redis is lost again within this time after a loss, the pause goes on doubling, in milliseconds. */
const STEADY_MS = 10_000
/** After so many trials in a row without an answer the connection is made anew. */
const SILENT_TRIALS_MAX = 3

/** Opens a connection to Redis, in the background.
 *
 * The first call that takes longer than half of `timeoutMs` takes Redis out of use. From then on trials in the background
 * find out when it is back, so that no other request waits for it. Until the first connection is open, or its time is
 * over, calls wait for it. */
export function openRedis(options: RedisOptions): Redis {
  const { clock, timeoutMs, onChange } = options
  let client: RedisClient | null = null
  let available = true
  let closed = false
  const returns: (() => void)[] = []
  /** How long the next trial waits, in milliseconds. */
  let pause = PAUSE.first
  let lostAt = -Infinity
  /** How many trials since the loss had no answer. */
  let silent = 0
  let stopWaiting: (() => void) | null = null
  /** The last error of the connection. The errors of calls do not contain it. */
  let suffered: unknown = null
  /** Whether Redis itself has said why it is away. */
  let explained = false
  const onError = (error: unknown) => {
    if (isUntold(error)) return
    suffered = error
    // What Redis itself says against a new connection, such as that the password is another one, keeps it away for good.
    if (!available && isReply(error) && !explained) tell(error)
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
    if (lacksRights(thrown)) pause = RIGHTS_PAUSE_MS
    else pause = clock.now() - lostAt > STEADY_MS ? PAUSE.first : Math.min(pause * 2, PAUSE.longest)
    lostAt = clock.now()
    silent = 0
    tell(isUntold(thrown) ? (suffered ?? thrown) : thrown)
    tryLater()
  }

  function tell(thrown: unknown): void {
    explained = isReply(thrown)
    onChange?.({ available, reason: reasonOf(thrown) })
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
      for (const run of returns) run()
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
    onBack: run => void returns.push(run),
    connections: () => (client === null ? 0 : countConnections(client)),
    close() {
      closed = true
      stopWaiting?.()
      client?.disconnect()
    },
  }
}
