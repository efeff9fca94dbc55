import type { Environment } from '#config/env.ts'
import { databasePlace } from '#config/places.ts'
import type { Config } from '#config/schema.ts'
import type { Call } from '#core/call.ts'
import type { Caller } from '#core/caller.ts'
import type { Clock } from '#core/clock.ts'
import type { Fact, Journal } from '#core/journal.ts'
import { type Account, keyAccount, type Ledger, type LedgerRow, type LedgerStore, tenantAccount } from '#core/ledger.ts'
import { type Budget, periodEnd, periodOf, toNano } from '#core/money.ts'
import type { RequestRecord } from '#core/record.ts'
import { type Audit, createAudit } from '#events/audit.ts'
import { type Chain, createChain } from '#events/chain.ts'
import { type BudgetUse, createBudgetUse } from '#gateway/ledger/budget-use.ts'
import { createDesk } from '#gateway/ledger/desk.ts'
import { openPurse, type Purse } from '#gateway/ledger/purse.ts'
import { createRecorder, type Recorder } from '#gateway/ledger/recorder.ts'
import { startUpkeep } from '#gateway/ledger/upkeep.ts'
import type { Lengths } from '#gateway/limits/estimate.ts'
import type { Keeping } from '#gateway/management/reports.ts'
import { createMemoryLedger } from '#stores/memory-ledger.ts'
import type { Redis } from '#stores/redis.ts'
import { createRedisHolds } from '#stores/redis-holds.ts'
import { createSharedLedger } from '#stores/shared-ledger.ts'
import { spoolName } from '#stores/spool-adoption.ts'
import type { Database } from '#stores/sql.ts'
import { createSqlUpkeep } from '#stores/sql-audit.ts'
import { createSqlLedger } from '#stores/sql-ledger.ts'
import type { LedgerNumbers } from '#telemetry/live-gauges.ts'
import { adoptNowAndThen, openSpool, spoolFolder } from './spool.ts'
import { keepsRows } from './state.ts'

/** The parts that the ledger is built from. */
export interface LedgerDeps {
  readonly clock: Clock
  readonly journal: Journal
  /** Subscribes to facts. */
  readonly listen: (subscriber: (fact: Fact) => void) => void
  readonly env: Environment
  readonly newId: (time: number) => string
  readonly config: () => Config
  /** Where holds are shared by all processes; `null` where they are not. */
  readonly redis: Redis | null
  readonly redact: (text: string) => string
  /** For how long the wall clock had not been set when this process began, in milliseconds. */
  readonly steadyMs: number
  /** How many tokens answers of each model usually have. */
  readonly lengths: Lengths
}

/** Budgets, the rows of requests, and the audit log. */
export interface Accounting {
  /** The holds and costs of a call; `null` where no costs are counted and no rows are kept. */
  readonly purse: (call: Call, record: RequestRecord) => Purse | null
  /** Whether prompts and answers are kept. */
  readonly payloads: () => boolean
  readonly numbers: LedgerNumbers
  readonly keeping: Keeping
  /** Whether the database has refused rows and has taken none since. */
  readonly isRefused: () => boolean
  close(): Promise<void>
}

/** The parts that run once the ledger has begun. */
interface Running {
  readonly recorder: Recorder
  readonly hold: LedgerStore['hold']
  subscriber(fact: Fact): void
  close(): Promise<void>
}

/** Builds the ledger. It begins at once if a place for state is configured or somebody has a budget; else with the
 * first call of a key with a budget, or whose prompt is to be kept. Until then it costs nothing. */
export function composeLedger(database: Database | null, deps: LedgerDeps): Accounting {
  const { config, lengths } = deps
  const budgetUse = createBudgetUse(deps.clock)
  let running: Running | null = null
  const begin = () => {
    running ??= database === null ? runInMemory(deps, budgetUse) : runWith(database, deps, budgetUse)
    return running
  }
  // Subscribed now even if it begins later, because subscribers after it remove fields from records.
  deps.listen(fact => {
    running?.subscriber(fact)
    if (running === null || fact.type !== 'request-settled') return
    const { model, usage } = fact.record
    if (model !== null && usage !== null) lengths.note(model, usage.output)
  })
  if (database !== null && keepsRows(config(), deps.env)) begin()

  return {
    purse(call, record) {
      const accounts = accountsOf(config(), call.caller, record.startedAt)
      if (running === null && accounts.length === 0) return null
      const { recorder, hold } = begin()
      const { clock, journal } = deps
      return openPurse({ clock, journal, lengths, hold, opened: recorder.opened }, call, record, accounts)
    },
    payloads() {
      const { enabled, payloads } = config().audit
      if (enabled && payloads) begin()
      return enabled && payloads
    },
    numbers: {
      open: () => running?.recorder.open() ?? 0,
      depth: () => running?.recorder.depth() ?? 0,
      dropped: () => running?.recorder.dropped() ?? 0,
      budgets: budgetUse.highest,
    },
    keeping: {
      keeps: what => database !== null && running !== null && (what === 'requests' || config().audit.enabled),
      since: () => deps.clock.time() - config().audit.retention,
    },
    isRefused: () => running?.recorder.isRefused() ?? false,
    close: async () => running?.close(),
  }
}

/** The accounts that a caller spends from at a time: of its key, then of its tenant. */
function accountsOf({ budgets }: Config, caller: Caller, time: number): readonly Account[] {
  const { tenant, id, budget } = caller
  const shared = budgets.per_tenant[Object.hasOwn(budgets.per_tenant, tenant) ? tenant : '*']
  const accounts: Account[] = []
  const add = (account: string, { nano, per }: Budget) =>
    accounts.push({ id: account, tenant, period: periodOf(time, per), cap: nano, resetsAt: periodEnd(time, per) })
  if (budget != null) add(keyAccount(tenant, id), budget)
  if (shared !== undefined) add(tenantAccount(tenant), { nano: toNano(shared.usd), per: shared.per })
  return accounts
}

/** Counts budgets in memory, where there is no database; rows are not kept. */
function runInMemory(deps: LedgerDeps, budgetUse: BudgetUse): Running {
  const { store, settled } = heldBy(deps, createMemoryLedger(deps.newId(deps.clock.time())))
  const recorder = createRecorder({ ...deps, store, spool: null, settled })
  const { subscriber, close } = recorder
  return { recorder, hold: budgetUse.watch(store.hold), subscriber, close }
}

/** Puts the holds of a ledger into Redis, where there is one. */
function heldBy(
  { redis, clock, listen }: LedgerDeps,
  ledger: Ledger,
): { readonly store: LedgerStore; readonly settled?: (row: LedgerRow) => void } {
  if (redis === null) return { store: ledger }
  const store = createSharedLedger({ holds: createRedisHolds(redis), ledger, time: clock.time })
  listen(fact => {
    if (fact.type === 'dependency-changed' && fact.dependency === 'redis' && !fact.available) store.lost()
  })
  return { store, settled: store.settled }
}

function runWith(database: Database, deps: LedgerDeps, budgetUse: BudgetUse): Running {
  const { clock, config, newId } = deps
  const { store, settled } = heldBy(
    deps,
    createSqlLedger(database, databasePlace(config(), deps.env).kind === 'sqlite'),
  )
  const local = createMemoryLedger()
  const folder = spoolFolder(config(), deps.env)
  const owner = newId(clock.time())
  const name = spoolName(owner)
  const chain: Chain = createChain(owner, { newId, keep: row => recorder.audit(row) })
  const audit: Audit = createAudit({
    ...deps,
    chain,
    enabled: () => config().audit.enabled,
  })
  const recorder: Recorder = createRecorder({
    ...deps,
    store,
    sealing: audit.sealing,
    spool: needs => openSpool(folder, name, needs, deps.journal),
    settled: row => {
      settled?.(row)
      if (local.holds() !== 0) void local.write({ requests: [row], audit: [] })
    },
  })
  const stopUpkeep = startUpkeep({
    clock,
    owner,
    steadyMs: deps.steadyMs,
    ledger: store,
    upkeep: createSqlUpkeep(database),
    retentionMs: () => config().audit.retention,
    checkpoint: (action, heads) => chain.add(audit.checkpoint(action, { heads })),
    flush: recorder.flush,
  })
  const stopAdopting = folder === null ? () => {} : adoptNowAndThen(folder, name, recorder, deps)
  return {
    recorder,
    hold: budgetUse.watch(createDesk({ clock, store, local }).hold),
    subscriber(fact) {
      recorder.subscriber(fact)
      audit.subscriber(fact)
    },
    async close() {
      stopUpkeep()
      stopAdopting()
      audit.sealing.seal()
      await recorder.close()
    },
  }
}
