import type { Clock } from '#core/clock.ts'
import { type Account, type Hold, type HoldVerdict, type LedgerStore, OVER } from '#core/ledger.ts'

/** The longest wait for the store before a call goes on without it, and for how long it is then not asked; in
 * milliseconds. */
const ANSWER_MS = 300
const AWAY_MS = 2000
/** The length of the steps in which the wait passes, in milliseconds, and how many there are at least: as many as one
 * hold has queries. */
const STEP_MS = 20
const STEPS_MIN = 8

/** Decides about holds: in the shared store, or alone while the store is away. */
export interface Desk {
  readonly hold: (hold: Hold) => HoldVerdict | Promise<HoldVerdict>
}

/** Creates a desk. While the store is away this process gives what was left when it last heard of it, and no more; the
 * calls go on. */
export function createDesk(deps: {
  readonly clock: Clock
  readonly store: LedgerStore
  readonly local: LedgerStore & { follow(account: Account, used: number): void }
}): Desk {
  const { clock, store, local } = deps
  let isAway = false
  let awayUntil = 0

  async function ask(hold: Hold): Promise<HoldVerdict> {
    // While the store is away, one call at a time tries whether it is back.
    if (isAway) awayUntil = clock.now() + AWAY_MS
    const asking = Promise.resolve(store.hold(hold))
    try {
      const verdict = await within(clock, asking)
      for (const [index, used] of verdict.used.entries()) {
        const account = hold.accounts[index]
        if (account !== undefined) local.follow(account, used)
      }
      isAway = false
      awayUntil = 0
      return verdict
    } catch {
      isAway = true
      awayUntil = clock.now() + AWAY_MS
      asking.then(late => late.refused === null && letGo(hold)).catch(ignore)
      return local.hold(hold)
    }
  }

  /** Gives back a hold that came too late: its call went on without it, and the row that would settle it may be written
   * already. */
  function letGo(hold: Hold) {
    return store.hold({ ...hold, nano: 0, expiresAt: OVER })
  }

  return { hold: hold => (clock.now() < awayUntil ? local.hold(hold) : ask(hold)) }
}

/** A hold that cannot be given back ends when its time is over. */
function ignore(): void {}

/** Waits for work, in steps. No step ends before the event loop has read what has arrived, so that the store is not
 * held to be slow when this process is. */
function within<T>(clock: Clock, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const since = clock.now()
    let steps = 0
    let disarm = clock.after(STEP_MS, step)
    function step(): void {
      if (++steps < STEPS_MIN || clock.now() - since < ANSWER_MS) disarm = clock.after(STEP_MS, step)
      else reject(new Error('the database did not answer in time'))
    }
    work.then(
      value => {
        disarm()
        resolve(value)
      },
      (thrown: unknown) => {
        disarm()
        reject(thrown)
      },
    )
  })
}
