import { type LoadResult, median } from './load-plan.ts'
import { startRedis } from './redis.ts'
import { figure, table } from './report.ts'
import { type Run, warmUp } from './run.ts'
import { type Subject, startSubject } from './subjects.ts'

/** What is compared: how the gateway is run, and whether all requests ask the same. */
interface Case {
  readonly name: 'proxied' | 'miss' | 'memory hit' | 'near hit' | 'Redis hit'
  readonly subject: Subject
  readonly same: boolean
}

const shown = ['proxied', 'miss', 'memory hit', 'near hit', 'Redis hit'] as const

const cells = [
  { kind: 'plain', clients: 1, pauseMs: 0 },
  { kind: 'plain', clients: 32, pauseMs: 0 },
  { kind: 'plain', clients: 32, pauseMs: 20 },
  { kind: 'stream', clients: 32, pauseMs: 0 },
] as const

/** Measures what a hit costs beside a proxied request, what a miss costs more, and how long Redis takes. That is told
 * by two gateways which both have their limits in Redis: one finds the answer in its memory, the other has to ask. */
export async function measureCache(run: Run): Promise<string> {
  const redis = await startRedis(run)
  const subjects: Subject[] = []
  const add = async (variant: Parameters<typeof startSubject>[2]) => {
    const subject = await startSubject('gateway', run.bench, variant)
    subjects.push(subject)
    return subject
  }
  try {
    const [off, on] = [await add({}), await add({ everything: true })]
    const cases: Case[] = [
      { name: 'proxied', subject: off, same: false },
      { name: 'miss', subject: on, same: false },
      { name: 'memory hit', subject: on, same: true },
    ]
    if (redis !== null) {
      const shared = { everything: true, redisUrl: redis.url }
      cases.push({ name: 'near hit', subject: await add(shared), same: true })
      cases.push({ name: 'Redis hit', subject: await add({ ...shared, far: true }), same: true })
    }
    for (const kind of ['plain', 'stream'] as const) {
      for (const same of [false, true]) await warmUp(run, subjects, { kind, same })
    }
    return await compare(run, cases)
  } finally {
    for (const subject of subjects) await subject.stop()
    await redis?.stop()
  }
}

async function compare(run: Run, cases: readonly Case[]): Promise<string> {
  await run.pace({ delayMs: 0, chunkMs: 1, chunks: 50 })
  const rows: string[][] = []
  let failures = 0
  for (const { kind, clients, pauseMs } of cells) {
    const title = `${kind}, ${clients}${pauseMs === 0 ? '' : `, ${pauseMs} ms apart`}`
    run.progress(`cache: ${title}`)
    const results = new Map<Case['name'], LoadResult[]>(cases.map(({ name }) => [name, []]))
    for (let round = 0; round < (run.quick ? 1 : 6); round++) {
      for (const { name, subject, same } of cases) {
        const seconds = run.quick ? 0.5 : 1
        const result = await run.generator.run(subject, { kind, clients, pauseMs, same, seconds, warmSeconds: 0.3 })
        failures += result.failures
        results.get(name)?.push(result)
      }
    }
    rows.push(row(title, kind, results))
  }
  const headings = ['', ...shown, 'hit ÷ proxied', 'miss tax', 'miss adds', 'Redis adds, at the median']
  const note = failures === 0 ? 'No request failed.' : `**${failures} failed**`
  return `### Cache: processor time per request, µs\n\n${table(headings, rows)}\n${note}\n`
}

function row(title: string, kind: 'plain' | 'stream', results: ReadonlyMap<Case['name'], readonly LoadResult[]>) {
  const of = (name: Case['name'], pick: (result: LoadResult) => number) => median((results.get(name) ?? []).map(pick))
  const cost = (name: Case['name']) => of(name, result => result.cpuMicros / result.requests)
  const wait = (name: Case['name']) => of(name, result => result[kind].p50 * 1000)
  return [
    title,
    ...shown.map(name => figure(cost(name))),
    figure(cost('memory hit') / cost('proxied')),
    `${figure((cost('miss') / cost('proxied') - 1) * 100)} %`,
    figure(cost('miss') - cost('proxied')),
    figure(wait('Redis hit') - wait('near hit')),
  ]
}
