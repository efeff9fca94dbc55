import { Database } from 'bun:sqlite'
import type { Ending } from './calls.ts'
import type { Truth } from './upstream.ts'

interface Row {
  readonly id: string
  readonly user_id: string | null
  readonly outcome: string
  readonly estimated: number
  readonly input_tokens: number
  readonly cache_read_tokens: number
  readonly output_tokens: number
  readonly cost_nano: number | null
}

/** What was found in the database, beside what the servers said. */
export interface Account {
  readonly rows: number
  readonly byOutcome: Readonly<Record<string, number>>
  /** Calls with more than one row, and calls that a server answered without any. */
  readonly doubled: number
  readonly missing: number
  /** Tokens of calls of which both sides know; equal when nothing was lost, invented or counted twice. */
  readonly ledgerTokens: number
  readonly truthTokens: number
  /** Rows that say something else than the server did. */
  readonly wrong: number
  readonly holds: number
  readonly held: number
  /** Billionths of a dollar: what the budget says is spent, and the sum of the rows. */
  readonly spent: number
  readonly charged: number
}

/** Reads the database that a gateway has written. */
export function accountFor(
  file: string,
  truths: ReadonlyMap<string, Truth | null>,
  endings: ReadonlyMap<string, Ending>,
): Account {
  using database = new Database(file, { readonly: true })
  const rows = database.query<Row, []>('SELECT * FROM requests WHERE parent IS NULL').all()
  const number = (sql: string) => database.query<{ n: number | null }, []>(sql).get()?.n ?? 0
  const byUser = Map.groupBy(rows, ({ user_id }) => user_id ?? '')
  const compared = [...truths].flatMap(([user, truth]) => {
    const [row] = byUser.get(user) ?? []
    if (row === undefined || truth === null || !isComparable(row, endings.get(user))) return []
    return [
      { row: row.input_tokens + row.cache_read_tokens + row.output_tokens, truth: sum(truth), same: same(row, truth) },
    ]
  })
  return {
    rows: rows.length,
    byOutcome: Object.fromEntries(
      [...Map.groupBy(rows, ({ outcome }) => outcome)].map(([name, all]) => [name, all.length]),
    ),
    doubled: [...byUser].filter(([user, all]) => user !== '' && all.length > 1).length,
    missing: [...truths.keys()].filter(user => !byUser.has(user)).length,
    ledgerTokens: compared.reduce((total, { row }) => total + row, 0),
    truthTokens: compared.reduce((total, { truth }) => total + truth, 0),
    wrong: compared.filter(each => !each.same).length,
    holds: number('SELECT COUNT(*) AS n FROM holds'),
    held: number('SELECT SUM(held) AS n FROM budgets'),
    spent: number("SELECT spent AS n FROM budgets WHERE account LIKE 'key:%'"),
    charged: number("SELECT SUM(cost_nano) AS n FROM requests WHERE key_id = 'load'"),
  }
}

/** Whoever heard an answer to its end was told what it used; whoever left may have left before, which the row says. */
function isComparable(row: Row, ending: Ending | undefined): boolean {
  if (row.outcome === 'lost') return false
  return ending === 'whole' || (row.estimated === 0 && row.output_tokens > 0)
}

function same(row: Row, truth: Truth): boolean {
  const { input_tokens, cache_read_tokens, output_tokens, estimated } = row
  return (
    estimated === 0 &&
    input_tokens === truth.input &&
    cache_read_tokens === truth.cached &&
    output_tokens === truth.output
  )
}

function sum({ input, cached, output }: Truth): number {
  return input + cached + output
}
