import type { AuditRow, LedgerRow } from '#core/ledger.ts'
import type { Head } from '#core/upkeep.ts'
import { GENESIS, hashOf, rowHash, sealOf } from './chain.ts'

/** Reads the audit log for checking it. */
export interface AuditSource {
  /** Rows by chain and place, from behind a row. */
  rows(after: Pick<Head, 'chain' | 'seq'> | null, limit: number): Promise<readonly AuditRow[]>
  /** The requests that a row seals. */
  sealed(batch: string): Promise<readonly LedgerRow[]>
  /** Requests that no row seals. */
  unsealed(): Promise<number>
}

/** What a check found. */
export interface Findings {
  readonly chains: number
  readonly rows: number
  readonly requests: number
  /** Requests of processes that died before they sealed them, and of those that had no audit log. */
  readonly unsealed: number
  /** In words, the first hundred. */
  readonly problems: readonly string[]
}

const PAGE = 500
const PROBLEMS_MAX = 100

/** Checks every chain: that no row was changed, removed or put elsewhere, that no chain ends before a checkpoint says it
 * does, and that the sealed requests are those that were sealed. */
export async function verifyAudit(source: AuditSource): Promise<Findings> {
  const state = new Check()
  for (let page = await source.rows(null, PAGE); page.length > 0; page = await source.rows(state.last, PAGE)) {
    for (const row of page) {
      state.take(row)
      if (row.kind === 'batch') await checkBatch(source, row, state)
    }
  }
  state.finish()
  return {
    chains: state.heads.size,
    rows: state.rows,
    requests: state.requests,
    unsealed: await source.unsealed(),
    problems: state.problems,
  }
}

class Check {
  rows = 0
  requests = 0
  last: Head | null = null
  readonly problems: string[] = []
  readonly heads = new Map<string, Head>()
  /** Chains whose first rows are not there any more. */
  private readonly begins = new Map<string, { readonly seq: number; readonly prev: string }>()
  private readonly promised: Head[] = []
  /** What was removed because its time was over: the last such row of each chain. */
  private readonly trimmed = new Map<string, Head>()

  report(problem: string): void {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(problem)
  }

  take(row: AuditRow): void {
    this.rows++
    const { chain, seq, hash } = row
    const before = this.heads.get(chain)
    const at = `row ${seq} of chain ${chain}`
    if (hashOf(row) !== hash) this.report(`${at} was changed`)
    if (before === undefined) this.begin(row)
    else {
      if (seq !== before.seq + 1) this.report(`${seq - before.seq - 1} rows before ${at} are missing`)
      else if (row.prev !== before.hash) this.report(`${at} does not follow the row before`)
    }
    this.last = { chain, seq, hash }
    this.heads.set(chain, this.last)
    if (row.kind === 'checkpoint') this.checkpoint(row)
  }

  private begin({ chain, seq, prev }: AuditRow): void {
    if (seq > 1) this.begins.set(chain, { seq, prev })
    else if (prev !== GENESIS) this.report(`row 1 of chain ${chain} is not the first one`)
  }

  private checkpoint({ detail, action }: AuditRow): void {
    const { heads } = readHeads(detail)
    if (action === 'trimmed') for (const head of heads) this.trimmed.set(head.chain, head)
    else this.promised.push(...heads)
  }

  finish(): void {
    for (const [chain, { seq, prev }] of this.begins) {
      const trimmed = this.trimmed.get(chain)
      if (trimmed?.seq !== seq - 1 || trimmed.hash !== prev) {
        this.report(`rows before row ${seq} of chain ${chain} are missing`)
      }
    }
    for (const { chain, seq } of this.promised) {
      const head = this.heads.get(chain)
      if ((head?.seq ?? this.trimmed.get(chain)?.seq ?? 0) < seq)
        this.report(`rows up to ${seq} of chain ${chain} are missing`)
    }
  }
}

/** The heads that a checkpoint names. */
function readHeads(detail: string): { readonly heads: readonly Head[] } {
  const { heads } = JSON.parse(detail)
  return { heads: Array.isArray(heads) ? heads : [] }
}

async function checkBatch(source: AuditSource, row: AuditRow, state: Check): Promise<void> {
  const { rows, hash } = JSON.parse(row.detail)
  const requests = await source.sealed(row.id)
  state.requests += requests.length
  // Requests are kept as long as the rows that seal them, so all of them are there or were removed.
  if (requests.length !== rows) return state.report(`batch ${row.id} has ${requests.length} of ${rows} requests`)
  const found = sealOf(requests.map(request => ({ id: request.id, hash: rowHash(request) })))
  if (found !== hash) state.report(`a request of batch ${row.id} was changed`)
}
