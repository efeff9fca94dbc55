import type { Environment } from '#config/env.ts'
import type { Config } from '#config/schema.ts'
import type { Clock } from '#core/clock.ts'
import { createJournal } from '#core/journal.ts'
import type { AuditRow } from '#core/ledger.ts'
import { createAudit } from '#events/audit.ts'
import { createChain } from '#events/chain.ts'
import { createKeyManagement, type KeyManagement } from '#gateway/management/keys.ts'
import { createIds } from '#lib/id.ts'
import type { Database } from '#stores/sql.ts'
import { createSqlKeys } from '#stores/sql-keys.ts'
import { createSqlLedger } from '#stores/sql-ledger.ts'
import { createRedactor } from '#telemetry/quote.ts'
import { secretsOf } from './edge.ts'
import { keepsRows } from './state.ts'

/** Builds the management of keys alone, for the command line, which may run beside gateways.
 *
 * @returns `written` resolves when the changes are in the audit log, where one is kept. */
export function composeKeysCommand(
  database: Database,
  deps: { readonly config: Config; readonly env: Environment; readonly clock: Clock },
): { readonly management: KeyManagement; written(): Promise<void> } {
  const { config, env, clock } = deps
  const newId = createIds()
  const rows: AuditRow[] = []
  const chain = createChain(newId(clock.time()), { newId, keep: row => rows.push(row) > 0 })
  const enabled = () => keepsRows(config, env) && config.audit.enabled
  const audit = createAudit({ clock, chain, newId, enabled, redact: createRedactor(secretsOf(config)) })
  const store = createSqlKeys(database, clock.time)
  const journal = createJournal([audit.subscriber])
  return {
    management: createKeyManagement({ store, clock, newId, journal, changed: async () => {} }),
    async written() {
      if (rows.length > 0) await createSqlLedger(database).write({ requests: [], audit: rows })
    },
  }
}
