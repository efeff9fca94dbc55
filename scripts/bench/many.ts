import type { LoadResult } from './load-plan.ts'
import { residentBytes } from './process.ts'
import { figure, megabytes, table } from './report.ts'
import { type Run, warmUp } from './run.ts'
import { type Subject, startSubject } from './subjects.ts'

const streams = 5000
const rampMs = 10_000
/** Models do not speak in step: of these groups each writes at a time of its own. */
const groups = 100

/** Measures 5,000 streams on one process that begin within ten seconds and stay: the time to the first event beside the
 * direct one, what each keeps in memory, and whether any failed. */
export async function measureManyStreams(run: Run): Promise<string> {
  const rows: string[][] = []
  let direct: LoadResult | null = null
  for (const name of ['direct', ...run.subjects.map(subject => subject.name)] as const) {
    run.progress(`${streams} streams, ${name}`)
    const subject = await startSubject(name, run.bench)
    try {
      const { result, bytes } = await measureSubject(run, subject)
      direct ??= result
      rows.push(toRow(subject, result, direct, bytes))
    } finally {
      await subject.stop()
    }
  }
  await run.pace({ groups: 1 })
  const headings = ['', 'started', 'failed', 'first event p50 / p99, ms', 'p99 ÷ direct', 'RSS, MB', 'kB a stream']
  const title = `### ${streams.toLocaleString('en-GB')} streams on one process, begun within ${rampMs / 1000} s, an event each second`
  return `${title}\n\n${table(headings, rows)}`
}

async function measureSubject(
  run: Run,
  subject: Subject,
): Promise<{ readonly result: LoadResult; readonly bytes: number }> {
  await run.pace({ delayMs: 0, chunkMs: 10, chunks: 50, groups: 1 })
  // A few streams load the code; more would leave garbage behind, in whose place the measured ones would fit unseen.
  await run.generator.run(subject, { clients: 20, kind: 'stream', seconds: run.quick ? 0.7 : 3 })
  const before = resident(subject)
  const first = await hold(run, subject)
  const bytes = (resident(subject) - before) / first.started
  await letGo(run, subject)
  // Now that memory was measured, times are measured on compiled code, as on a gateway that has run for a minute.
  await warmUp(run, [subject], { kind: 'stream' })
  const second = await hold(run, subject)
  await letGo(run, subject)
  return { result: { ...second, failures: first.failures + second.failures }, bytes }
}

async function hold(run: Run, subject: Subject): Promise<LoadResult> {
  await run.pace({ chunkMs: 1000, chunks: Number.MAX_SAFE_INTEGER, groups })
  const seconds = run.quick ? 1 : 5
  return run.generator.run(subject, { clients: streams, kind: 'hold', rampMs, warmSeconds: 0, seconds })
}

function letGo(run: Run, subject: Subject): Promise<LoadResult> {
  return run.generator.run(subject, { clients: 0, kind: 'hold', warmSeconds: 0, seconds: 0 })
}

function toRow(subject: Subject, result: LoadResult, direct: LoadResult, bytes: number): string[] {
  const { p50, p99 } = result.firstEvent
  const started = `${result.started}${result.started < streams ? ' **(not all)**' : ''}`
  const times = `**${(p99 / direct.firstEvent.p99).toFixed(2)}**`
  const row = [subject.name, started, String(result.failures), `${figure(p50)} / ${figure(p99)}`]
  if (subject.pid === null) return [...row, '', '', '']
  return [...row, times, megabytes(resident(subject)), figure(bytes / 1000)]
}

function resident(subject: Subject): number {
  return subject.pid === null ? 0 : residentBytes(subject.pid)
}
