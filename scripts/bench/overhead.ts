import { type LoadResult, median } from './load-plan.ts'
import { residentBytes } from './process.ts'
import { figure, megabytes, table } from './report.ts'
import { interleaved, type Run } from './run.ts'
import { type Subject, type SubjectName, startSubject } from './subjects.ts'

const clients = 100
const promptBytes = 2048
const requestsPerSecondWanted = 1000

/** Measures what the gateway adds, with everything on, to a model server that takes 200 ms, and how much it can pass. */
export async function measureOverhead(run: Run): Promise<string> {
  const subjects: Subject[] = []
  try {
    const names = run.subjects.map(subject => subject.name).filter(name => name !== 'nginx')
    for (const name of ['direct', ...names] as const) {
      subjects.push(await startSubject(name, run.bench, { everything: true }))
    }
    return [await addedLatency(run, subjects), await throughput(run, subjects)].join('\n')
  } finally {
    for (const subject of subjects) await subject.stop()
  }
}

async function addedLatency(run: Run, subjects: readonly Subject[]): Promise<string> {
  run.progress(`${clients} clients of a model server that takes 200 ms`)
  await run.pace({ delayMs: 200, chunkMs: 4, chunks: 50 })
  const results = await interleaved(subjects, run.quick ? 1 : 3, subject =>
    run.generator.run(subject, {
      clients,
      kind: 'mixed',
      promptBytes,
      rampMs: 400,
      warmSeconds: run.quick ? 0.3 : 1,
      seconds: run.quick ? 1.5 : 4,
    }),
  )
  const direct = results.get('direct') ?? []
  const rows = subjects.map(subject => latencyRow(subject, results.get(subject.name) ?? [], direct))
  const headings = [
    '',
    'plain p50 / p99, ms',
    'first event p50 / p99, ms',
    'added p99 plain, ms',
    'added p99 first event, ms',
    'requests a second',
    'failed',
    'RSS, MB',
  ]
  return `### Added latency: ${clients} clients, 2 kB prompts, half streamed, 200 ms upstream\n\n${table(headings, rows)}`
}

function latencyRow(subject: Subject, results: readonly LoadResult[], direct: readonly LoadResult[]): string[] {
  const of = (all: readonly LoadResult[], pick: (result: LoadResult) => number) => median(all.map(pick))
  const added = (pick: (result: LoadResult) => number) =>
    subject.name === 'direct' ? '' : figure(of(results, pick) - of(direct, pick))
  const pair = (kind: 'plain' | 'firstEvent') =>
    `${figure(of(results, result => result[kind].p50))} / ${figure(of(results, result => result[kind].p99))}`
  return [
    subject.name,
    pair('plain'),
    pair('firstEvent'),
    added(result => result.plain.p99),
    added(result => result.firstEvent.p99),
    figure(of(results, result => result.requests / result.seconds)),
    String(results.reduce((sum, result) => sum + result.failures, 0)),
    subject.pid === null ? '' : megabytes(residentBytes(subject.pid)),
  ]
}

async function throughput(run: Run, subjects: readonly Subject[]): Promise<string> {
  run.progress(`${clients} clients, as fast as it goes`)
  await run.pace({ delayMs: 0 })
  const results = await interleaved(subjects, run.quick ? 1 : 3, subject =>
    run.generator.run(subject, { clients, kind: 'plain', promptBytes, seconds: run.quick ? 0.6 : 1.5 }),
  )
  const rows = subjects.map(({ name }) => {
    const perSecond = median((results.get(name) ?? []).map(result => result.requests / result.seconds))
    return [name, figure(perSecond), verdict(name, perSecond)]
  })
  const title = `### Most requests a second: ${clients} clients, 2 kB prompts, nothing streamed, an instant upstream`
  return `${title}\n\n${table(['', 'requests a second', `over ${requestsPerSecondWanted}`], rows)}`
}

function verdict(name: SubjectName, perSecond: number): string {
  if (name === 'direct') return ''
  return perSecond > requestsPerSecondWanted ? 'yes' : '**no**'
}
