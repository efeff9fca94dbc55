import { type LoadResult, median } from './load-plan.ts'
import { startRedis } from './redis.ts'
import { figure, table } from './report.ts'
import { type Run, warmUp } from './run.ts'
import { type Subject, startSubject, type Variant } from './subjects.ts'

const CLIENTS = 32
/** What the runtime compiles, and how, differs from process to process by more than what is measured here. */
const PROCESSES = 4
const ROUNDS = 3

/** Measures what five limits, rows of requests and limits in Redis cost beside the gateway as it is by default. */
export async function measureAccounts(run: Run): Promise<string> {
  const redis = await startRedis(run)
  const variants: [name: string, variant: Variant][] = [
    ['by default', {}],
    ['five limits', { fiveLimits: true }],
    ['five limits and rows', { fiveLimits: true, rows: true }],
  ]
  if (redis !== null)
    variants.push(['five limits in Redis, and rows', { fiveLimits: true, rows: true, redisUrl: redis.url }])
  const results = new Map<string, LoadResult[]>(variants.map(([name]) => [name, []]))
  try {
    for (let turn = 0; turn < (run.quick ? 1 : PROCESSES); turn++) await measureOnce(run, variants, results)
  } finally {
    await redis?.stop()
  }
  return describe(results)
}

/** Starts each variant anew, and measures them in turn. */
async function measureOnce(
  run: Run,
  variants: readonly (readonly [name: string, variant: Variant])[],
  results: ReadonlyMap<string, LoadResult[]>,
): Promise<void> {
  const subjects = new Map<string, Subject>()
  try {
    for (const [name, variant] of variants) subjects.set(name, await startSubject('gateway', run.bench, variant))
    await warmUp(run, [...subjects.values()], { kind: 'plain' })
    run.progress('accounts')
    for (let round = 0; round < (run.quick ? 1 : ROUNDS); round++) {
      for (const [name, subject] of subjects) {
        const result = await run.generator.run(subject, {
          kind: 'plain',
          clients: CLIENTS,
          seconds: run.quick ? 0.5 : 1,
        })
        results.get(name)?.push(result)
      }
    }
  } finally {
    for (const subject of subjects.values()) await subject.stop()
  }
}

function describe(results: ReadonlyMap<string, readonly LoadResult[]>): string {
  const costs = [...results].map(
    ([name, all]) => [name, median(all.map(({ cpuMicros, requests }) => cpuMicros / requests))] as const,
  )
  const [[, first] = ['', 1]] = costs
  const rows = costs.map(([name, cost]) => [name, figure(cost), figure(cost / first)])
  const failures = [...results.values()].flat().reduce((sum, { failures: more }) => sum + more, 0)
  const note = failures === 0 ? 'No request failed.' : `**${failures} failed**`
  return `### Accounts: processor time per request at ${CLIENTS} at once, µs\n\n${table(['', 'µs', '÷ by default'], rows)}\n${note}\n`
}
