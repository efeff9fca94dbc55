import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Fact } from '#core/journal.ts'
import type { AuditRow, LedgerRow } from '#core/ledger.ts'
import type { RequestRecord } from '#core/record.ts'
import { textOfRow } from '#events/chain.ts'
import { PassingMap } from '#lib/passing.ts'
import { type Adoption, createAdoption } from './adoption.ts'
import { type Backlog, type BacklogDeps, createBacklog } from './backlog.ts'
import { isKept, toAttemptRows, toOpening, toRow } from './row.ts'

export interface RecorderDeps extends Omit<BacklogDeps, 'spool' | 'carry'> {
  /** Where rows wait; `null` where no rows are kept and only money is counted. */
  readonly spool: BacklogDeps['spool'] | null
  /** Called with the row of each request that is over. */
  readonly settled?: (row: LedgerRow) => void
  /** The batch that a row belongs to; told of each row that is kept, by the text over which it is sealed. */
  readonly sealing?: { batch(): string | null; add(id: string, text: string): void } | null
}

/** Keeps the row of every request, without making the request wait. */
export interface Recorder extends Pick<Backlog, 'depth' | 'dropped' | 'isRefused' | 'flush' | 'close'> {
  readonly opened: (record: RequestRecord, call: Call, candidate: Candidate) => void
  readonly subscriber: (fact: Fact) => void
  /** Adds a row of the audit log; `false` if there is no room for it. */
  audit(row: AuditRow): boolean
  /** The number of requests under way. */
  open(): number
  readonly adopt: Adoption
}

/** Creates the recorder. */
export function createRecorder(deps: RecorderDeps): Recorder {
  const { store, sealing = null } = deps
  /** The opening lines of requests that are under way. */
  const open = new PassingMap<string>()
  const carry = () => [...open].map(([, line]) => line)
  const backlog = deps.spool === null ? NO_BACKLOG : createBacklog({ ...deps, spool: deps.spool, carry })

  function keep(row: LedgerRow): void {
    const text = textOfRow(row)
    if (backlog.append(`r${text}`, row) && row.batch !== null) sealing?.add(row.id, text)
  }

  function settled(record: RequestRecord): void {
    open.delete(record.id)
    const endedAt = record.startedAt + record.endedAt - record.startedNow
    const row = toRow(record, endedAt, sealing?.batch() ?? null)
    deps.settled?.(row)
    if (backlog === NO_BACKLOG) {
      void store.write({ requests: [row], audit: [] })
      return
    }
    keep(row)
    for (const attempt of toAttemptRows(row, record)) keep({ ...attempt, batch: sealing?.batch() ?? null })
  }

  return {
    ...backlog,
    opened(record, call, candidate) {
      const line = backlog === NO_BACKLOG ? '' : `o${JSON.stringify(toOpening(record, call, candidate))}`
      open.set(record.id, line)
      backlog.append(line, null)
    },
    subscriber(fact) {
      if (fact.type === 'request-settled' && isKept(fact.record)) settled(fact.record)
    },
    audit: row => backlog.append(`a${JSON.stringify(row)}`, row),
    open: () => open.size,
    adopt: createAdoption(backlog),
  }
}

/** Keeps nothing. */
const NO_BACKLOG: Backlog = {
  append: () => false,
  offer: () => false,
  depth: () => 0,
  dropped: () => 0,
  unwritten: () => 0,
  isBatch: () => false,
  isRefused: () => false,
  flush: async () => {},
  close: async () => {},
}
