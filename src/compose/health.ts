import { availableParallelism } from 'node:os'
import type { Environment } from '#config/env.ts'
import { databasePlace } from '#config/places.ts'
import type { Config } from '#config/schema.ts'
import type { Clock } from '#core/clock.ts'
import { createHealth, type HealthParts } from '#gateway/management/health.ts'
import type { Redis } from '#stores/redis.ts'
import type { Database } from '#stores/sql.ts'
import { heapBytes, residentBytes } from '#telemetry/memory.ts'
import type { Accounting } from './ledger.ts'
import type { Pressed } from './pressure.ts'

/** The parts that health is read from. */
export interface HealthComposition {
  readonly clock: Pick<Clock, 'now'>
  readonly config: () => Config
  readonly env: Environment
  readonly redis: Redis | null
  readonly database: Database | null
  /** Whether the database has refused rows and has taken none since: its disk may be full, and it is read all the same. */
  readonly ledger: Pick<Accounting, 'isRefused'>
  readonly pressure: Pick<Pressed, 'read' | 'memoryMax'>
  readonly calls: () => { readonly all: number; readonly failed: number }
}

/** The load of the processor is measured anew after this time only, in milliseconds. */
const CPU_LOOK_MS = 1000

/** Creates the function that reads the state of the process and its dependencies. */
export function composeHealth(parts: HealthComposition): () => Promise<HealthParts> {
  const { config, redis, database, ledger, pressure } = parts
  const isPostgres = databasePlace(config(), parts.env).kind === 'postgres'
  const thresholds = () => config().monitoring.thresholds
  const used = processorLoad(parts.clock)
  const takesChanges = async (asked: Database) => {
    await askDatabase(asked, isPostgres, thresholds().response_time[1])
    if (ledger.isRefused()) throw new Error('rows wait for the database')
  }
  return createHealth({
    ...parts,
    thresholds,
    checks: {
      database: database === null ? null : () => takesChanges(database),
      redis: redis === null ? null : () => redis.use(client => client.ping()),
      vectors: null,
    },
    memory() {
      const [limit, used] = [pressure.memoryMax(), round(pressure.read().memory)]
      return { rss_bytes: residentBytes(), heap_used_bytes: heapBytes(), limit_bytes: limit, used }
    },
    cpu() {
      const { user, system } = process.cpuUsage()
      const cores = config().performance.cpu_cores ?? availableParallelism()
      return { user_seconds: user / 1e6, system_seconds: system / 1e6, cores, used: round(used() / cores) }
    },
  })
}

/** Asks a database something small; Postgres, whether it takes changes, too.
 *
 * @throws Error when it takes none: it may be a replica by now, and rows wait until there is a primary. */
async function askDatabase(database: Database, isPostgres: boolean, withinMs: number): Promise<void> {
  const [row]: { refuses: string }[] = await database.read(
    sql =>
      isPostgres ? sql`SELECT current_setting('transaction_read_only') AS refuses` : sql`SELECT 'off' AS refuses`,
    withinMs,
  )
  if (row?.refuses === 'on') throw new Error('the database takes no changes')
}

/** Creates the function that measures how many processors are in use; 1 = one whole processor. */
function processorLoad(clock: Pick<Clock, 'now'>): () => number {
  const seconds = () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  }
  let [lookedAt, before, load] = [clock.now(), seconds(), 0]
  return () => {
    const passed = clock.now() - lookedAt
    if (passed >= CPU_LOOK_MS) {
      const now = seconds()
      load = ((now - before) * 1000) / passed
      lookedAt = clock.now()
      before = now
    }
    return load
  }
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4
}
