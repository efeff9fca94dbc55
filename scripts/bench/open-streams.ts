import { residentBytes } from './process.ts'
import { figure, megabytes, table } from './report.ts'
import type { Run } from './run.ts'
import { type Subject, startSubject } from './subjects.ts'

const streams = 1000
const secondsToClose = 5

/** Measures the memory of 1,000 streams that stay open, whether all of them began, and whether all are closed again. */
export async function measureOpenStreams(run: Run): Promise<string> {
  const rows: string[][] = []
  for (const { name } of run.subjects) {
    run.progress(`${streams} open streams, ${name}`)
    // A process of its own: memory that earlier load has left free would hide what the streams take.
    const subject = await startSubject(name, run.bench)
    try {
      rows.push(await measureSubject(run, subject))
    } finally {
      await subject.stop()
    }
  }
  const headings = ['', 'started', 'RSS before, MB', 'RSS with them, MB', 'kB a stream', 'upstream closed after, ms']
  return `### ${streams.toLocaleString('en-GB')} open streams, an event each 500 ms\n\n${table(headings, rows)}`
}

async function measureSubject(run: Run, subject: Subject): Promise<string[]> {
  const { generator } = run
  await run.pace({ delayMs: 0, chunkMs: 10, chunks: 50 })
  // A few streams load the code; more would leave garbage behind, in whose place the measured ones would fit unseen.
  await generator.run(subject, { clients: 20, kind: 'stream', seconds: 0.7 })
  await run.pace({ chunkMs: 500, chunks: Number.MAX_SAFE_INTEGER })
  const before = resident(subject)
  const held = await generator.run(subject, {
    clients: streams,
    kind: 'hold',
    rampMs: 500,
    warmSeconds: 0,
    seconds: run.quick ? 1 : 4,
  })
  const after = resident(subject)
  await generator.run(subject, { clients: 0, kind: 'hold', warmSeconds: 0, seconds: 0 })
  const closedAfter = await untilClosed(run)
  const perStream = (after - before) / held.started / 1000
  const started = `${held.started}${held.started < streams ? ' **(not all)**' : ''}`
  return [subject.name, started, megabytes(before), megabytes(after), figure(perStream), closedAfter]
}

function resident(subject: Subject): number {
  return subject.pid === null ? 0 : residentBytes(subject.pid)
}

async function untilClosed(run: Run): Promise<string> {
  const begun = performance.now()
  for (;;) {
    const open = await run.openStreams()
    const ms = performance.now() - begun
    if (open === 0) return figure(ms)
    if (ms > secondsToClose * 1000) return `**${open} still open after ${secondsToClose} s**`
    await Bun.sleep(5)
  }
}
