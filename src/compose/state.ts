import { createStoredKeys, type StoredKeys } from '#access/stored-keys.ts'
import type { Environment } from '#config/env.ts'
import { databasePlace } from '#config/places.ts'
import type { Config } from '#config/schema.ts'
import { DEFAULT_TENANT } from '#core/caller.ts'
import type { Clock } from '#core/clock.ts'
import type { Journal } from '#core/journal.ts'
import { createKeyManagement, type KeyManagement, type KeyWithSecret } from '#gateway/management/keys.ts'
import { createReportManagement, type Keeping, type ReportManagement } from '#gateway/management/reports.ts'
import { createMemoryKeys } from '#stores/memory-keys.ts'
import { type Database, type DatabasePlace, openSql } from '#stores/sql.ts'
import { createSqlKeys } from '#stores/sql-keys.ts'
import { sqliteIsMissing } from '#stores/sql-place.ts'
import { createSqlReports } from '#stores/sql-reports.ts'
import { keyCreation } from '#wire/keys.ts'

/** The state of keys in a database that does not exist yet: there are none. */
const NOTHING = { version: 0, inUse: false }

/** The parts that state is built from. */
export interface StateDeps {
  readonly clock: Clock
  readonly journal: Journal
  readonly env: Environment
  readonly newId: (time: number) => string
  /** The configuration as it is now. */
  readonly config: () => Config
}

/** The keys that are made at run time. */
export interface Keys {
  readonly stored: StoredKeys
  readonly management: KeyManagement
  /** Makes the first key for an operator, if there is no other key for the management; `null` if there is one.
   *
   * @throws GatewayError when the store cannot be written. */
  firstKey(): Promise<KeyWithSecret | null>
}

/** Creates the client of the database; `null` where there is no place for one, so that state is kept in memory. */
export function composeDatabase({ journal, env, config }: Omit<StateDeps, 'clock' | 'newId'>): Database | null {
  const { timeout, pool } = config().database
  const place = databasePlace(config(), env)
  if (place.kind === 'sqlite' && place.file === null) return null
  return openSql({
    place,
    timeoutMs: timeout,
    pool,
    onCall: call => journal.note({ type: 'database-called', ...call }),
  })
}

/** Whether rows of requests and the audit log are kept: when the configuration or the service manager names a place for
 * state, or costs count because of a budget. */
export function keepsRows({ database, service, auth, budgets }: Config, env: Environment): boolean {
  return (
    database.url !== 'sqlite:' ||
    service.data_dir !== null ||
    Boolean(env.STATE_DIRECTORY) ||
    auth.keys.some(({ budget }) => budget !== null) ||
    Object.keys(budgets.per_tenant).length > 0
  )
}

/** Builds the keys that are made at run time. A SQLite file that does not exist yet is neither created nor waited
 * for. */
export function composeKeys(database: Database | null, deps: StateDeps): Keys {
  const { clock, journal, config } = deps
  const store = database === null ? createMemoryKeys() : createSqlKeys(database, clock.time)
  const stored = createStoredKeys({
    store,
    clock,
    staleMs: () => config().auth.stale,
    shared: database !== null,
    known: database === null || sqliteIsMissing(databasePlace(config(), deps.env)) ? NOTHING : undefined,
    onAvailable: (available, reason) =>
      journal.note({
        type: 'dependency-changed',
        dependency: 'database',
        available,
        reason: reason === null ? null : String(reason),
      }),
  })
  const management = createKeyManagement({ store, clock, journal, newId: deps.newId, changed: stored.refresh })
  return {
    stored,
    management,
    async firstKey() {
      const { keys, admin_keys } = config().auth
      if (admin_keys.length > 0 || keys.some(({ role }) => role === 'admin')) return null
      if ((await store.state()).version > 0) return null
      const wished = keyCreation.parse({ name: 'first start', role: 'admin', max_priority: 'critical' })
      try {
        return await management.create({ by: 'first start', tenant: DEFAULT_TENANT }, wished, 'first_start')
      } catch (thrown) {
        // Another process was first.
        if ((await store.state()).version > 0) return null
        throw thrown
      }
    },
  }
}

/** Builds the reports over rows of requests and the audit log; without a database they are empty. */
export function composeReports(database: Database | null, place: DatabasePlace, keeping: Keeping): ReportManagement {
  const reports = database === null ? null : createSqlReports(database, { inProcess: place.kind === 'sqlite' })
  return createReportManagement(reports, keeping)
}
