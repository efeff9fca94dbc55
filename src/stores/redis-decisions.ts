import { type Bucket, type Correction, intervalOf, LEASE_WAIT_MS } from '#core/limiter.ts'

/** A take that waits for its decision. */
export interface Asked {
  readonly buckets: readonly Bucket[]
  readonly tokens: number
  readonly owner: string
  /** Called with the decision.
   *
   * @param refused The position, from 1, of the refusing bucket with the longest wait; 0 = none refused.
   * @param debts Of each bucket: milliseconds until it is full, or the number of leases that are held. */
  decide(refused: number, debts: readonly number[]): void
  /** Called when Redis does not answer. */
  giveUp(): void
}

/** A correction of an earlier take that Redis has not been told of yet. */
interface Settlement extends Correction {
  readonly buckets: readonly Bucket[]
  readonly owner: string
}

/** Asks Redis for decisions, in one call for all takes of a turn of the event loop. */
export interface RedisDecisions {
  ask(asked: Asked): void
  /** Sends a correction with the next takes, at the end of this turn of the event loop, or, while a call is in flight,
   * after its answer. */
  settle(buckets: readonly Bucket[], correction: Correction, owner: string): void
  /** Sends what waits now. Resolves when it is answered or has failed; never rejects. */
  flush(): Promise<void>
}

export const LEASE_MS = 30_000
/** How many takes, and how many settlements, go in one call. A script blocks Redis while it runs, and cannot have many
 * more values. */
const TAKES_MAX = 500

/** Creates the batching of decisions.
 *
 * With 16 requests at once, a call for each take would cost almost four times as much processor time, here and in Redis:
 * the script reads and writes each bucket once in each call.
 *
 * @param options.call Runs the script with its values; rejects when Redis does not answer.
 * @param options.time The time in milliseconds; `''` = by the clock of Redis.
 * @param options.onUnsettled Called with corrections that Redis may not have received. */
export function createRedisDecisions(options: {
  readonly call: (values: readonly (string | number)[]) => Promise<unknown>
  readonly time: () => number | ''
  readonly onUnsettled: (buckets: readonly Bucket[], correction: Correction, owner: string) => void
}): RedisDecisions {
  let asked: Asked[] = []
  let settlements: Settlement[] = []
  let isPlanned = false
  let callsUnderWay = 0

  function plan(): void {
    if (isPlanned) return
    isPlanned = true
    setImmediate(() => void flush())
  }

  /** No caller waits for a settlement: while a call is in flight it waits for the next one. */
  function planSettling(): void {
    if (callsUnderWay === 0) plan()
  }

  async function flush(): Promise<void> {
    isPlanned = false
    const [takes, settled] = [asked, settlements]
    asked = []
    settlements = []
    const calls: Promise<void>[] = []
    for (let at = 0; at < Math.max(takes.length, settled.length); at += TAKES_MAX) {
      calls.push(send(takes.slice(at, at + TAKES_MAX), settled.slice(at, at + TAKES_MAX)))
    }
    callsUnderWay++
    await Promise.all(calls)
    callsUnderWay--
    if (settlements.length > 0) planSettling()
  }

  async function send(takes: readonly Asked[], settled: readonly Settlement[]): Promise<void> {
    const values = [options.time(), LEASE_MS, LEASE_WAIT_MS, pack(takes, settled)]
    let answer: unknown
    try {
      answer = await options.call(values)
    } catch {
      for (const { buckets, requests, tokens, owner } of settled) {
        options.onUnsettled(buckets, { requests, tokens }, owner)
      }
      for (const take of takes) take.giveUp()
      return
    }
    if (takes.length > 0) tell(takes, typeof answer === 'string' ? JSON.parse(answer) : [])
  }

  return {
    ask(take) {
      asked.push(take)
      plan()
    },
    settle(buckets, { requests, tokens }, owner) {
      settlements.push({ buckets, requests, tokens, owner })
      planSettling()
    },
    flush,
  }
}

/** Gives each take its part of the answer. */
function tell(takes: readonly Asked[], numbers: readonly number[]): void {
  let at = 0
  for (const take of takes) {
    const refused = numbers[at] ?? 0
    const debts = numbers.slice(at + 1, at + 1 + take.buckets.length)
    at += 1 + take.buckets.length
    take.decide(refused, debts)
  }
}

/** Writes everything as the script reads it: buckets and sets of buckets once, and then their numbers. */
function pack(takes: readonly Asked[], settled: readonly Settlement[]): string {
  const buckets: (string | number)[] = []
  const sets: number[] = []
  const numbers = new Map<Bucket, number>()
  const setNumbers = new Map<readonly Bucket[], number>()

  function numberOf(bucket: Bucket): number {
    let number = numbers.get(bucket)
    if (number === undefined) {
      number = numbers.size + 1
      numbers.set(bucket, number)
      buckets.push(bucket.key, intervalOf(bucket), bucket.burst, bucket.unit === 'tokens' ? 1 : 0)
    }
    return number
  }

  function setOf(set: readonly Bucket[]): number {
    let number = setNumbers.get(set)
    if (number === undefined) {
      number = setNumbers.size + 1
      setNumbers.set(set, number)
      sets.push(set.length)
      for (const bucket of set) sets.push(numberOf(bucket))
    }
    return number
  }

  const settlements: (string | number)[] = []
  for (const { owner, buckets, requests, tokens } of settled) settlements.push(owner, setOf(buckets), requests, tokens)
  const asked: (string | number)[] = []
  for (const { owner, buckets, tokens } of takes) asked.push(owner, setOf(buckets), tokens)
  return JSON.stringify([buckets, sets, settlements, asked])
}
