import type { Sql } from './sql.ts'

/** The row of `versions` with the random number of this ledger, made when shared holds first ask for a balance. */
const IDENTITY = 'ledger identity'

/** The version of a ledger, higher after each write, and its identity; `null` where no shared holds follow it. */
export interface LedgerState {
  readonly version: bigint
  readonly identity: bigint | null
}

/** Gives a ledger its identity, unless it has one. */
export async function identify(sql: Sql): Promise<void> {
  const identity = Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)
  await sql`INSERT INTO versions (subject, version) VALUES (${IDENTITY}, ${identity}) ON CONFLICT DO NOTHING`
}

/** Blocks all others who write rows or open accounts, until the transaction ends. Versions are epoch milliseconds and
 * always rise: after a restored backup they are still higher than all that were read before it. */
export async function lockLedger(sql: Sql): Promise<LedgerState> {
  const now = Date.now()
  const [row]: LedgerState[] = await sql`
    UPDATE versions SET version = CASE WHEN version >= ${now} THEN version + 1 ELSE ${now} END WHERE subject = 'ledger'
    RETURNING version, (SELECT version FROM versions WHERE subject = ${IDENTITY}) AS identity`
  return row ?? { version: 0n, identity: null }
}
