import type { Balance, Followed, Spent } from '#core/ledger.ts'

/** What the shared holds are to be told next, beside the time. */
type Told = Omit<Followed, 'now'>

/** News for the shared holds, gathered until they are told. */
export interface HoldNews {
  /** What a ledger says is spent, in place of what it said of the same accounts before. */
  spent(balance: Balance): void
  /** A request is over, and its row is still to be written. */
  over(request: string, nano: number): void
  /** The row of a request is written. */
  written(request: string): void
  /** Whether there are rows that were not told of. */
  hasWritten(): boolean
  size(): number
  /** Gives everything, which is then no longer here. */
  take(): Told
  /** Puts back what could not be told; what has become newer meanwhile stays. */
  putBack(told: Told): void
  /** Forgets that a request is over: its row says more. */
  forgetOver(request: string): void
  clear(): void
}

/** Creates the news; there are none. */
export function createHoldNews(): HoldNews {
  const spent = new Map<string, Followed['spent'][number]>()
  const over = new Map<string, number>()
  const written = new Set<string>()

  function clear(): void {
    for (const each of [spent, over, written]) each.clear()
  }

  return {
    spent({ ledger, version, spent: sums }) {
      for (const sum of sums) spent.set(accountPeriod(sum), { ...sum, ledger, version })
    },
    over: (request, nano) => void over.set(request, nano),
    written: request => void written.add(request),
    hasWritten: () => written.size > 0,
    size: () => spent.size + over.size + written.size,
    take() {
      const told = {
        spent: [...spent.values()],
        over: Array.from(over, ([request, nano]) => ({ request, nano })),
        written: [...written],
      }
      clear()
      return told
    },
    putBack(told) {
      for (const sum of told.spent) if (!spent.has(accountPeriod(sum))) spent.set(accountPeriod(sum), sum)
      for (const { request, nano } of told.over) over.set(request, nano)
      for (const request of told.written) written.add(request)
    },
    forgetOver: request => void over.delete(request),
    clear,
  }
}

/** Identifies an account in a period: what is spent is summed up for each. */
export function accountPeriod({ id, period }: Pick<Spent, 'id' | 'period'>): string {
  return `${id} ${period}`
}
