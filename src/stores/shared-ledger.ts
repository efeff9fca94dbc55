import type {
  Account,
  Balance,
  Followed,
  Hold,
  HoldVerdict,
  Ledger,
  LedgerBatch,
  LedgerRow,
  LedgerStore,
  SharedHolds,
  Spent,
} from '#core/ledger.ts'

/** Requests and accounts that are remembered for shared holds that are away; the others end by their time. */
const PENDING_MAX = 100_000

export interface SharedLedgerOptions {
  readonly holds: SharedHolds
  readonly ledger: Ledger
  /** Epoch milliseconds. */
  readonly time: () => number
}

/** A ledger whose money is held elsewhere. */
export interface SharedLedger extends LedgerStore {
  /** Told of each request that is over, before its row is written. */
  settled(row: LedgerRow): void
  /** The shared holds were lost: what they knew of the ledger may be old when they are back. */
  lost(): void
}

/** Decides over money by holds that many processes share, and keeps the truth in a ledger: what it has charged is
 * followed, never added up, so that nothing counts twice and what was missed is made good by the next row. While the
 * shared holds are away the ledger decides itself. */
export function createSharedLedger({ holds, ledger, time }: SharedLedgerOptions): SharedLedger {
  /** Requests with a hold of this process whose rows are not written. */
  const held = new Set<string>()
  /** Accounts whose charges are known to be followed. */
  const followed = new Set<string>()
  const opening = new Map<string, Promise<void>>()
  let name: string | null = null
  const pending = {
    spent: new Map<string, Followed['spent'][number]>(),
    over: new Map<string, number>(),
    written: new Set<string>(),
  }
  let posted = false

  function learn({ ledger: from, version, spent }: Balance): void {
    name = from
    for (const each of spent) pending.spent.set(keyOf(each), { ...each, ledger: from, version })
  }

  async function tell(): Promise<number> {
    const told = { spent: [...pending.spent.values()], over: [...pending.over], written: [...pending.written] }
    for (const each of [pending.spent, pending.over, pending.written]) each.clear()
    const over = told.over.map(([request, nano]) => ({ request, nano }))
    try {
      return await holds.follow({ now: time(), spent: told.spent, over, written: told.written })
    } catch (thrown) {
      for (const each of told.spent) if (!pending.spent.has(keyOf(each))) pending.spent.set(keyOf(each), each)
      for (const [request, nano] of told.over) pending.over.set(request, nano)
      for (const request of told.written) pending.written.add(request)
      if (pending.spent.size + pending.over.size + pending.written.size > PENDING_MAX) forget()
      throw thrown
    }
  }

  function forget(): void {
    followed.clear()
    for (const each of [pending.spent, pending.over, pending.written]) each.clear()
  }

  /** Asks the ledger once for all calls that wait for the same accounts: their questions would wait for each other. */
  function open(accounts: readonly Account[]): Promise<void> {
    const key = accounts.map(keyOf).join('\n')
    const asking = opening.get(key) ?? openNow(accounts).finally(() => opening.delete(key))
    opening.set(key, asking)
    return asking
  }

  async function openNow(accounts: readonly Account[]): Promise<void> {
    learn(await ledger.balance(accounts))
    await tell()
    if (followed.size > PENDING_MAX) followed.clear()
    for (const account of accounts) followed.add(keyOf(account))
  }

  async function take(hold: Hold): Promise<HoldVerdict> {
    const { accounts } = hold
    if (name === null || accounts.some(account => !followed.has(keyOf(account)))) await open(accounts)
    const verdict = await holds.take(hold, name ?? '')
    if (verdict !== null) return verdict
    // It has forgotten them.
    await open(accounts)
    return (await holds.take(hold, name ?? '')) ?? ledger.hold(hold)
  }

  async function holdOf(hold: Hold): Promise<HoldVerdict> {
    if (!holds.available()) return ledger.hold(hold)
    try {
      const verdict = await take(hold)
      // What ends at once is let go of: no row settles it any more.
      if (verdict.refused === null && hold.expiresAt > time()) held.add(hold.request)
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
    // It does not know that it is followed, as after it was made anew.
    else if (batch.requests.length > 0) followed.clear()
    let isNews = balance !== null && balance.spent.length > 0
    for (const { id, parent } of batch.requests) {
      if (parent !== null) continue
      pending.over.delete(id)
      if (held.delete(id)) isNews = true
      // Somebody else's holds, such as those of a process that died, are known by its accounts alone.
      if (isNews) pending.written.add(id)
    }
    if ((isNews || pending.written.size > 0) && holds.available()) await tell().catch(ignore)
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
      pending.over.set(id, cost_nano ?? 0)
      if (posted || !holds.available()) return
      posted = true
      // With what else is over by the end of this turn of the event loop.
      setImmediate(() => {
        posted = false
        tell().catch(ignore)
      })
    },
    lost: () => followed.clear(),
  }
}

function keyOf({ id, period }: Pick<Spent, 'id' | 'period'>): string {
  return `${id} ${period}`
}

/** What was not told is told with what comes next. */
function ignore(): void {}
