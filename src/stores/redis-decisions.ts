import { type Bucket, type Correction, intervalOf, LEASE_WAIT_MS } from '#core/limiter.ts'

/** What waits to be decided. */
export interface Asked {
  readonly buckets: readonly Bucket[]
  readonly tokens: number
  readonly owner: string
  /** Told what Redis says: the place of the bucket that refused and makes wait longest, counted from 1 (0 = none did),
   * and the debt of each bucket, in milliseconds until it is full or leases that are out. */
  decide(refused: number, debts: readonly number[]): void
  /** Told that Redis does not say. */
  giveUp(): void
}

/** What Redis is still to be told of a take. */
interface Settlement extends Correction {
  readonly buckets: readonly Bucket[]
  readonly owner: string
}

/** Asks Redis for decisions, those of one turn of the event loop together. */
export interface RedisDecisions {
  ask(asked: Asked): void
  /** Settles with the next takes, or at the end of this turn of the event loop, or when Redis has answered. */
  settle(buckets: readonly Bucket[], correction: Correction, owner: string): void
  /** Sends what waits, and waits until it is answered; never fails. */
  flush(): Promise<void>
}

export const LEASE_MS = 30_000
/** Takes, and settlements, in one call: Redis decides for nobody else meanwhile, and a script has no room for more. */
const TAKES_MAX = 500

/** Creates it.
 *
 * Takes and settlements of one turn are one call of one script. With 16 requests at once a call for each take costs almost
 * four times as much processor time, here and in Redis, which reads and writes each bucket once a call.
 *
 * @param options.call Runs the script with its values; fails when Redis does not answer.
 * @param options.time Milliseconds, in place of the clock of Redis (`''`).
 * @param options.onUnsettled Told of what Redis may not have heard. */
export function createRedisDecisions(options: {
  readonly call: (values: readonly (string | number)[]) => Promise<unknown>
  readonly time: () => number | ''
  readonly onUnsettled: (buckets: readonly Bucket[], correction: Correction) => void
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

  /** Nobody waits for settlements: they go with the next takes, or once Redis has answered what it was asked. */
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
      for (const { buckets, requests, tokens } of settled) options.onUnsettled(buckets, { requests, tokens })
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
