import { type LoadResult, median } from './load-plan.ts'
import { startRedis } from './redis.ts'
import { figure, table } from './report.ts'
import { type Run, warmUp } from './run.ts'
import { type Subject, startSubject, type Variant } from './subjects.ts'

const CLIENTS = 32

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
  const subjects = new Map<string, Subject>()
  try {
    for (const [name, variant] of variants) subjects.set(name, await startSubject('gateway', run.bench, variant))
    return await compare(run, subjects)
  } finally {
    for (const subject of subjects.values()) await subject.stop()
    await redis?.stop()
  }
}

async function compare(run: Run, subjects: ReadonlyMap<string, Subject>): Promise<string> {
  await warmUp(run, [...subjects.values()], { kind: 'plain' })
  run.progress('accounts')
  const results = new Map<string, LoadResult[]>([...subjects.keys()].map(name => [name, []]))
  for (let round = 0; round < (run.quick ? 1 : 6); round++) {
    for (const [name, subject] of subjects) {
      const result = await run.generator.run(subject, { kind: 'plain', clients: CLIENTS, seconds: run.quick ? 0.5 : 1 })
      results.get(name)?.push(result)
    }
  }
  const costs = [...results].map(
    ([name, all]) => [name, median(all.map(({ cpuMicros, requests }) => cpuMicros / requests))] as const,
  )
  const [[, first] = ['', 1]] = costs
  const rows = costs.map(([name, cost]) => [name, figure(cost), figure(cost / first)])
  const failures = [...results.values()].flat().reduce((sum, { failures: more }) => sum + more, 0)
  const note = failures === 0 ? 'No request failed.' : `**${failures} failed**`
  return `### Accounts: processor time per request at ${CLIENTS} at once, µs\n\n${table(['', 'µs', '÷ by default'], rows)}\n${note}\n`
}
