import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import type { LedgerStore, Spool } from '#core/ledger.ts'
import { othersTurn } from '#lib/turn.ts'
import { createDelay } from './delay.ts'
import { batchOf, type KeptRow, rowOfLine } from './lines.ts'

/** How many rows are written at once, and how long the first of them waits for others, in milliseconds. */
const BATCH_MAX = 200
const GATHER_MS = 100
/** How long the end of the process waits for the store, in milliseconds. */
const CLOSE_MS = 2000

/** What a spool asks of those who write to it. */
export interface SpoolNeeds {
  /** Reads the row in a line; `null` if it has none to be written. */
  readonly read: (line: string) => KeptRow | null
  /** The opening lines of the requests that are under way. */
  readonly carry: () => readonly string[]
  /** Told of lines that were taken and could not be written down; what they say may be remembered all the same. */
  readonly onLost: (lines: readonly string[], isRemembered: boolean) => void
}

export interface BacklogDeps {
  readonly clock: Clock
  readonly journal: Journal
  readonly store: Pick<LedgerStore, 'write'>
  readonly spool: (needs: SpoolNeeds) => Spool<KeptRow>
  readonly carry: SpoolNeeds['carry']
}

/** The rows that wait for the database. Each one waits in the spool, as a line, until the store has it. */
export interface Backlog {
  /** Adds a line with the row in it, or an opening line with `null`; `false` if there is no room, and it is lost. */
  append(line: string, row: KeptRow | null): boolean
  /** Adds a row that somebody else keeps, too; `false` if there is no room, or this process ends. */
  offer(line: string, row: KeptRow): boolean
  /** The numbers of rows that wait, of lines that were lost because there was no room or they were damaged, and of lines
   * that the disk did not take, ever. */
  depth(): number
  dropped(): number
  unwritten(): number
  /** Whether as many rows wait as are written at once. */
  isBatch(): boolean
  /** Whether the store has refused rows and has taken none since. */
  isRefused(): boolean
  /** Writes all waiting rows, until none is left or the store fails. */
  flush(): Promise<void>
  close(): Promise<void>
}

/** Creates the backlog, and opens its spool. */
export function createBacklog({ clock, journal, store, carry, ...deps }: BacklogDeps): Backlog {
  const delay = createDelay(clock, journal)
  const spool = deps.spool({ read: rowOfLine, carry, onLost })
  /** What our disk does not take of these is still on that of the process that left it. */
  const offered = new WeakSet<KeptRow>()
  let depth = 0
  let dropped = 0
  let unwritten = 0
  let writing: Promise<void> | null = null
  let disarm: (() => void) | null = null
  let closed = false

  function onLost(lines: readonly string[], isRemembered: boolean): void {
    unwritten += lines.length
    if (isRemembered) return
    dropped += lines.length
    depth -= lines.filter(line => !line.startsWith('o')).length
  }

  function count(): void {
    depth++
    if (depth === BATCH_MAX && delay.waitMs === 0) hurry()
    else later(GATHER_MS)
  }

  function later(ms: number): void {
    if (disarm !== null || writing !== null || closed) return
    disarm = clock.after(ms, () => {
      disarm = null
      void write(isBatch)
    })
  }

  /** Rows for a batch are written with the next tick: those that wait for longer outlive a collection of garbage. */
  function hurry(): void {
    disarm?.()
    disarm = null
    later(0)
  }

  /** @param goesOn Whether there is still something to write. */
  function write(goesOn: () => boolean): Promise<void> {
    writing ??= writeWhile(goesOn).finally(() => {
      writing = null
      if (depth > 0) later(delay.waitMs > 0 ? delay.waitMs : GATHER_MS)
    })
    return writing
  }

  const isBatch = () => depth >= BATCH_MAX
  const isAny = () => depth > 0

  async function writeWhile(goesOn: () => boolean): Promise<void> {
    try {
      do {
        const [looking, known] = [spool.peek(BATCH_MAX), depth]
        const rows = await looking
        if (rows.length === 0) {
          // The rows that are still counted stand in lines that can no longer be read.
          depth -= known
          dropped += known
          return
        }
        await store.write(batchOf(rows))
        await spool.drop(rows.length)
        depth -= rows.length
        delay.over()
        // A database in this process (SQLite) blocks the event loop.
        await othersTurn()
      } while (goesOn())
    } catch (thrown) {
      delay.failed(thrown, depth)
    }
  }

  async function flush(): Promise<void> {
    while (writing !== null) await writing
    await write(isAny)
  }

  return {
    append(line, row) {
      if (!spool.append(line, row)) {
        dropped++
        return false
      }
      if (row !== null) count()
      return true
    },
    offer(line, row) {
      if (closed || !spool.append(line, row)) return false
      offered.add(row)
      count()
      return true
    },
    depth: () => depth,
    dropped: () => dropped,
    unwritten: () => unwritten,
    isBatch,
    isRefused: () => delay.waitMs > 0,
    flush,
    async close() {
      disarm?.()
      // Rows that are not written in time wait on the disk for the next start.
      await new Promise<void>(resolve => {
        const late = clock.after(CLOSE_MS, resolve)
        void flush().then(() => {
          late()
          resolve()
        })
      })
      closed = true
      disarm?.()
      const lost = (await spool.close()).filter(row => !offered.has(row))
      if (lost.length > 0) journal.note({ type: 'rows-lost', count: lost.length })
    },
  }
}
