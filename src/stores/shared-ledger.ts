import type {
  Account,
  Balance,
  Hold,
  HoldVerdict,
  Ledger,
  LedgerBatch,
  LedgerRow,
  LedgerStore,
  SharedHolds,
} from '#core/ledger.ts'
import { accountPeriod, createHoldNews } from './hold-news.ts'

/** How many requests and accounts are remembered while the shared holds do not answer. Beyond it they are forgotten, and
 * the holds end when they expire. */
const PENDING_MAX = 100_000

export interface SharedLedgerOptions {
  readonly holds: SharedHolds
  readonly ledger: Ledger
  /** Epoch milliseconds. */
  readonly time: () => number
}

/** A ledger whose holds are in Redis, shared by several processes. */
export interface SharedLedger extends LedgerStore {
  /** To be called when a request is over, before its row is written. */
  settled(row: LedgerRow): void
  /** To be called when Redis stops answering: its copy of the ledger's sums may be old when it is back. */
  lost(): void
}

/** Creates a ledger that decides by holds in Redis and charges in the database.
 *
 * Redis gets copies of the database's sums, and never adds up charges itself: so nothing counts twice, and a missed update
 * is corrected by the next one. While Redis does not answer, the database decides alone. */
export function createSharedLedger({ holds, ledger, time }: SharedLedgerOptions): SharedLedger {
  /** Requests of this process that have a hold in Redis and no row in the database yet. */
  const held = new Set<string>()
  /** Accounts whose sums Redis is known to have. */
  const followed = new Set<string>()
  const opening = new Map<string, Promise<void>>()
  const news = createHoldNews()
  /** The name of the ledger; `null` until it was read. */
  let name: string | null = null
  /** Whether the news are told at the end of this turn of the event loop. */
  let posted = false

  function learn(balance: Balance): void {
    name = balance.ledger
    news.spent(balance)
  }

  async function tell(): Promise<number> {
    const told = news.take()
    try {
      return await holds.follow({ now: time(), ...told })
    } catch (thrown) {
      news.putBack(told)
      if (news.size() > PENDING_MAX) {
        followed.clear()
        news.clear()
      }
      throw thrown
    }
  }

  /** Copies the sums of accounts to Redis. Calls for the same accounts share one query, because the queries would lock each
   * other out. */
  function open(accounts: readonly Account[]): Promise<void> {
    const key = accounts.map(accountPeriod).join('\n')
    const asking = opening.get(key) ?? openNow(accounts).finally(() => opening.delete(key))
    opening.set(key, asking)
    return asking
  }

  async function openNow(accounts: readonly Account[]): Promise<void> {
    learn(await ledger.balance(accounts))
    await tell()
    if (followed.size > PENDING_MAX) followed.clear()
    for (const account of accounts) followed.add(accountPeriod(account))
  }

  async function take(hold: Hold): Promise<HoldVerdict> {
    const { accounts } = hold
    if (name === null || accounts.some(account => !followed.has(accountPeriod(account)))) await open(accounts)
    const verdict = await holds.take(hold, name ?? '')
    if (verdict !== null) return verdict
    // Redis has lost the accounts: copy them again.
    await open(accounts)
    return (await holds.take(hold, name ?? '')) ?? ledger.hold(hold)
  }

  async function holdOf(hold: Hold): Promise<HoldVerdict> {
    // A hold that has expired already is a release: no row will settle it.
    const isRelease = hold.expiresAt <= time()
    // What the ledger gave while Redis was away is given back there.
    if (!holds.available() || (isRelease && !held.has(hold.request))) return ledger.hold(hold)
    try {
      const verdict = await take(hold)
      if (verdict.refused === null && !isRelease) held.add(hold.request)
      else if (verdict.refused === null) held.delete(hold.request)
      return verdict
    } catch (thrown) {
      if (holds.available()) throw thrown
      return ledger.hold(hold)
    }
  }

  async function write(batch: LedgerBatch): Promise<Balance | null> {
    const balance = await ledger.write(batch)
    if (balance !== null) learn(balance)
    // The database does not know that Redis follows it, as after it was created anew.
    else if (batch.requests.length > 0) followed.clear()
    let isNews = balance !== null && balance.spent.length > 0
    for (const { id, parent } of batch.requests) {
      if (parent !== null) continue
      news.forgetOver(id)
      if (held.delete(id)) isNews = true
      // A row may settle a hold of another process, such as one that died: then only its changed accounts say so.
      if (isNews) news.written(id)
    }
    if ((isNews || news.hasWritten()) && holds.available()) await tell().catch(ignore)
    return balance
  }

  return {
    hold: holdOf,
    write,
    async expire(now) {
      const own = await ledger.expire(now)
      return holds.available() ? own + (await holds.follow({ now, spent: [], over: [], written: [] })) : own
    },
    async holds() {
      const own = await ledger.holds()
      return holds.available() ? own + (await holds.holds()) : own
    },
    settled({ id, cost_nano }) {
      if (!held.has(id)) return
      news.over(id, cost_nano ?? 0)
      if (posted || !holds.available()) return
      posted = true
      // Together with the other requests that end in this turn of the event loop.
      setImmediate(() => {
        posted = false
        tell().catch(ignore)
      })
    },
    lost: () => followed.clear(),
  }
}

/** For updates that failed: they are still pending, and are sent with the next ones. */
function ignore(): void {}
