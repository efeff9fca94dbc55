import type { AuditRow, LedgerRow } from '#core/ledger.ts'
import type { Head } from '#core/upkeep.ts'
import { isObject, parseJson } from '#lib/json.ts'
import { GENESIS, hashOf } from './chain.ts'
import { Seals } from './seals.ts'

/** What the check reads. */
export interface AuditSource {
  /** The last row of each chain now. */
  heads(): Promise<readonly Head[]>
  /** Rows after a given one (`null` = from the first), ordered by chain and sequence number. */
  rows(after: Pick<Head, 'chain' | 'seq'> | null, limit: number): Promise<readonly AuditRow[]>
  /** Requests with ids greater than `after`, ordered by id. */
  requests(after: string, limit: number): Promise<readonly LedgerRow[]>
}

/** The result of a check: how much was read, and what is wrong. */
export interface Findings {
  readonly chains: number
  readonly rows: number
  readonly requests: number
  /** Requests without a seal: of processes that died before sealing them, or that had no audit log. */
  readonly unsealed: number
  /** Descriptions of the first hundred problems. */
  readonly problems: readonly string[]
}

const PAGE = 500
const PROBLEMS_MAX = 100

/** Checks every chain: that no row was changed, removed or moved, that no chain ends earlier than a checkpoint says, and
 * that sealed requests are unchanged. Everything is read once, while the gateway may go on writing. */
export async function verifyAudit(source: AuditSource): Promise<Findings> {
  const check = new Check(await source.heads())
  const { seals } = check
  for (let page = await source.rows(null, PAGE); page.length > 0; page = await source.rows(check.last, PAGE)) {
    for (const row of page) check.take(row)
  }
  let last = ''
  for (let page = await source.requests(last, PAGE); page.length > 0; page = await source.requests(last, PAGE)) {
    for (const request of page) seals.take(request)
    last = page.at(-1)?.id ?? last
  }
  await readLater(source, check)
  check.finish()
  await seals.finish(async ({ chain, seq, id }) => (await source.rows({ chain, seq: seq - 1 }, 1))[0]?.id === id)
  return {
    chains: check.heads.size,
    rows: check.rows,
    requests: seals.sealed,
    unsealed: seals.unsealed,
    problems: check.problems,
  }
}

/** Reads the rows that were added during the check: a checkpoint among them may explain rows that were removed meanwhile. */
async function readLater(source: AuditSource, check: Check): Promise<void> {
  for (const { chain, seq } of await source.heads()) {
    for (let last: Pick<Head, 'chain' | 'seq'> = check.heads.get(chain) ?? { chain, seq: 0 }; last.seq < seq; ) {
      const rows = await source.rows(last, Math.min(PAGE, seq - last.seq))
      const own = rows.filter(row => row.chain === chain)
      for (const row of own) check.takeLater(row)
      last = own.at(-1) ?? { chain, seq }
    }
  }
}

class Check {
  rows = 0
  last: Head | null = null
  readonly problems: string[] = []
  readonly heads = new Map<string, Head>()
  readonly seals = new Seals(problem => this.report(problem))
  /** The sequence number of each chain's last row when the check began. */
  private readonly ends: ReadonlyMap<string, number>
  /** Rows before which rows are missing; `missing` is their number, `null` at the start of a chain. */
  private readonly gaps: { readonly row: Pick<AuditRow, 'chain' | 'seq' | 'prev'>; readonly missing: number | null }[] =
    []
  /** The ends of chains as checkpoints recorded them: each chain must reach at least so far. */
  private readonly promised: Head[] = []
  /** The last row of each chain that was removed because its retention time was over. */
  private readonly trimmed = new Map<string, Head>()

  constructor(heads: readonly Head[]) {
    this.ends = new Map(heads.map(({ chain, seq }) => [chain, seq]))
  }

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
      if (seq !== before.seq + 1) this.gap(row, seq - before.seq - 1)
      else if (row.prev !== before.hash) this.report(`${at} does not follow the row before`)
    }
    this.last = { chain, seq, hash }
    this.heads.set(chain, this.last)
    if (row.kind === 'checkpoint') this.checkpoint(row)
    else if (row.kind === 'batch') this.seals.add(row)
  }

  /** Takes a row that was written after its chain was read. */
  takeLater(row: AuditRow): void {
    if (row.kind === 'checkpoint' && row.action === 'trimmed' && hashOf(row) === row.hash) this.checkpoint(row)
  }

  private begin(row: AuditRow): void {
    if (row.seq > 1) this.gap(row, null)
    else if (row.prev !== GENESIS) this.report(`row 1 of chain ${row.chain} is not the first one`)
  }

  private gap({ chain, seq, prev }: AuditRow, missing: number | null): void {
    this.gaps.push({ row: { chain, seq, prev }, missing })
  }

  private checkpoint({ chain, seq, detail, action }: AuditRow): void {
    for (const head of readHeads(detail)) {
      // A checkpoint written during the check may name rows of chains that had been read already.
      if (action !== 'trimmed') {
        if (seq <= (this.ends.get(chain) ?? 0)) this.promised.push(head)
      } else if (head.seq > (this.trimmed.get(head.chain)?.seq ?? 0)) this.trimmed.set(head.chain, head)
    }
  }

  finish(): void {
    for (const { row, missing } of this.gaps) {
      const { chain, seq, prev } = row
      const trimmed = this.trimmed.get(chain)
      // Removal goes in steps: the checkpoint is written first, and some of the rows it names may still exist.
      const isTrimmed =
        trimmed !== undefined && (trimmed.seq >= seq || (trimmed.seq === seq - 1 && trimmed.hash === prev))
      if (!isTrimmed) this.report(`${missing ?? ''} rows before row ${seq} of chain ${chain} are missing`.trimStart())
    }
    for (const { chain, seq } of this.promised) {
      const last = Math.max(this.heads.get(chain)?.seq ?? 0, this.trimmed.get(chain)?.seq ?? 0)
      if (last < seq) this.report(`rows up to ${seq} of chain ${chain} are missing`)
    }
  }
}

/** The heads that a checkpoint names; none when its detail is not of that form. */
function readHeads(detail: string): readonly Head[] {
  const said = parseJson(detail)
  return isObject(said) && Array.isArray(said.heads) ? said.heads : []
}
