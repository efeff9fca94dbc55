import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Clock } from '#core/clock.ts'
import type { Fact, Journal } from '#core/journal.ts'
import type { AuditRow, LedgerRow, LedgerStore, Spool } from '#core/ledger.ts'
import type { RequestRecord } from '#core/record.ts'
import { PassingMap } from '#lib/passing.ts'
import { othersTurn } from '#lib/turn.ts'
import { createDelay } from './delay.ts'
import { batchOf, type KeptRow, openingOfLine, rowOfLine } from './lines.ts'
import { isKept, type Opening, toAttemptRows, toLostRow, toOpening, toRow } from './row.ts'

/** How many rows are written at once, and how long the first of them waits for others, in milliseconds. */
const BATCH_MAX = 200
const GATHER_MS = 100
/** How long the end of the process waits for the store, in milliseconds. */
const CLOSE_MS = 2000

/** What a spool asks of the recorder. */
export interface SpoolNeeds {
  /** Reads the row in a line; `null` if it has none to be written. */
  readonly read: (line: string) => KeptRow | null
  /** The opening lines of the requests that are under way. */
  readonly carry: () => readonly string[]
  /** Told of lines that were taken and could not be written down; what they say may be remembered all the same. */
  readonly onLost: (lines: readonly string[], isRemembered: boolean) => void
}

export interface RecorderDeps {
  readonly clock: Clock
  readonly journal: Journal
  readonly store: LedgerStore
  /** Where rows wait; `null` where no rows are kept and only money is counted. */
  readonly spool: ((needs: SpoolNeeds) => Spool<KeptRow>) | null
  /** Called with the row of each request that is over. */
  readonly settled?: (row: LedgerRow) => void
  /** Told of each row that is kept, as JSON; the batch that it belongs to. */
  readonly sealing?: { batch(): string | null; add(id: string, text: string): void } | null
}

/** Keeps the row of every request, without making the request wait. */
export interface Recorder {
  readonly opened: (record: RequestRecord, call: Call, candidate: Candidate) => void
  readonly subscriber: (fact: Fact) => void
  /** Adds a row of the audit log; `false` if there is no room for it. */
  audit(row: AuditRow): boolean
  /** Takes over what another process has left: its lines, and that there are no more of them; no faster than the store
   * takes them, so that there is room for rows of our own.
   *
   * @throws Error when there is no room, or the disk did not take it; what was taken may be told again, from the first
   * line. */
  readonly adopt: { begin(): void | Promise<void>; line(line: string): void | Promise<void>; end(): Promise<void> }
  /** The numbers of rows that wait for the database, of requests under way, and of rows that were lost because there
   * was no room or they were damaged. */
  depth(): number
  open(): number
  dropped(): number
  /** Whether the store has refused rows and has taken none since. */
  isRefused(): boolean
  /** Writes all waiting rows, until none is left or the store fails. */
  flush(): Promise<void>
  close(): Promise<void>
}

/** Creates the recorder. Each row waits in the spool, as a line, until the store has it. */
export function createRecorder(deps: RecorderDeps): Recorder {
  const { clock, store, sealing = null } = deps
  const delay = createDelay(clock, deps.journal)
  /** The opening lines of requests that are under way. */
  const open = new PassingMap<string>()
  /** The opening lines of requests of a process that has died. */
  const left = new Map<string, Opening>()
  const spool = deps.spool?.({ read: rowOfLine, carry: () => [...open].map(([, line]) => line), onLost: lost }) ?? null
  let depth = 0
  let dropped = 0
  /** How many lines the disk has not taken since the last take-over began. */
  let failed = 0
  let writing: Promise<void> | null = null
  let disarm: (() => void) | null = null
  let closed = false

  function append(line: string, row: KeptRow): boolean {
    if (spool === null) return false
    const isTaken = put(spool, line, row)
    if (!isTaken) dropped++
    return isTaken
  }

  function put(to: Spool<KeptRow>, line: string, row: KeptRow): boolean {
    if (!to.append(line, row)) return false
    depth++
    if (depth === BATCH_MAX && delay.waitMs === 0) hurry()
    else later(GATHER_MS)
    return true
  }

  /** Takes over a row of another process; if there is no room for it here, it stays in the file of that process. */
  function inherit(line: string, row: KeptRow): void | Promise<void> {
    if (closed || spool === null || !put(spool, line, row)) throw noRoom()
    if (depth >= BATCH_MAX) return makeRoom()
  }

  async function makeRoom(): Promise<void> {
    if (depth >= BATCH_MAX) await flush()
    if (depth >= BATCH_MAX) throw noRoom()
  }

  function lost(lines: readonly string[], isRemembered: boolean): void {
    failed += lines.length
    if (isRemembered) return
    dropped += lines.length
    depth -= lines.filter(line => !line.startsWith('o')).length
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
    if (spool === null) return
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

  function keep(row: LedgerRow): void {
    const text = JSON.stringify(row)
    if (append(`r${text}`, row) && row.batch !== null) sealing?.add(row.id, text)
  }

  function settled(record: RequestRecord): void {
    open.delete(record.id)
    const endedAt = record.startedAt + record.endedAt - record.startedNow
    const row = toRow(record, endedAt, sealing?.batch() ?? null)
    deps.settled?.(row)
    if (spool === null) {
      void store.write({ requests: [row], audit: [] })
      return
    }
    keep(row)
    for (const attempt of toAttemptRows(row, record)) keep({ ...attempt, batch: sealing?.batch() ?? null })
  }

  return {
    opened(record, call, candidate) {
      const line = spool === null ? '' : `o${JSON.stringify(toOpening(record, call, candidate))}`
      open.set(record.id, line)
      if (spool?.append(line, null) === false) dropped++
    },
    subscriber(fact) {
      if (fact.type === 'request-settled' && isKept(fact.record)) settled(fact.record)
    },
    audit: row => append(`a${JSON.stringify(row)}`, row),
    adopt: {
      begin() {
        left.clear()
        return makeRoom()
      },
      line(line) {
        if (line.startsWith('o')) {
          const opening = openingOfLine(line)
          if (opening !== null) left.set(opening.id, opening)
          return
        }
        const row = rowOfLine(line)
        if (row !== null && line.startsWith('r')) left.delete(row.id)
        return row === null ? undefined : inherit(line, row)
      },
      async end() {
        for (const opening of left.values()) {
          const row = toLostRow(opening)
          await inherit(`r${JSON.stringify(row)}`, row)
        }
        left.clear()
        // After this, the lines added in this turn of the event loop are on the disk.
        await othersTurn()
        const isKept = failed === 0
        failed = 0
        if (!isKept) throw new Error('what another process has left was not taken by the disk')
      },
    },
    depth: () => depth,
    open: () => open.size,
    dropped: () => dropped,
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
      await spool?.close()
    },
  }
}

function noRoom(): Error {
  return new Error('there is no room for what another process has left')
}
