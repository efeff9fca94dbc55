import { type LoadResult, median } from './load-plan.ts'
import { figure, ratio, table } from './report.ts'
import { interleaved, type Row, type Run, warmUp } from './run.ts'
import type { SubjectName } from './subjects.ts'

interface Cell {
  readonly kind: 'plain' | 'stream'
  readonly clients: number
  /** Streams are paced, so that each event is a read and a write of its own at every subject. */
  readonly chunkMs: number
}

interface Measured {
  readonly cell: Cell
  readonly results: ReadonlyMap<SubjectName, LoadResult[]>
}

const cells: readonly Cell[] = [
  { kind: 'plain', clients: 1, chunkMs: 2 },
  { kind: 'plain', clients: 32, chunkMs: 2 },
  { kind: 'plain', clients: 256, chunkMs: 2 },
  { kind: 'plain', clients: 512, chunkMs: 2 },
  { kind: 'stream', clients: 1, chunkMs: 1 },
  { kind: 'stream', clients: 32, chunkMs: 3 },
  { kind: 'stream', clients: 256, chunkMs: 20 },
]

const chunks = 50

/** Measures processor time per request and per streamed event, and latency, of each subject beside the others. */
export async function measureCost(run: Run): Promise<string> {
  const measured: Measured[] = []
  for (const kind of ['plain', 'stream'] as const) await warmUp(run, run.subjects, { kind })
  for (const cell of cells) {
    run.progress(`${cell.kind}, ${cell.clients} at once`)
    await run.pace({ delayMs: 0, chunkMs: cell.chunkMs, chunks })
    const results = await interleaved(run.subjects, run.quick ? 1 : 5, subject =>
      run.generator.run(subject, {
        clients: cell.clients,
        kind: cell.kind,
        seconds: run.quick ? 0.5 : 1,
        rampMs: cell.kind === 'stream' ? cell.chunkMs * chunks : 0,
      }),
    )
    measured.push({ cell, results })
  }
  return [costTable(measured), latencyTable(measured), failureNote(measured)].join('\n')
}

function costTable(measured: readonly Measured[]): string {
  const names = namesOf(measured)
  const rows = measured.map(({ cell, results }) => {
    const costs: Row = medians(results, result => result.cpuMicros / unitsOf(cell, result))
    const values = names.map(name => figure(costs.get(name)))
    return [
      unitName(cell),
      String(cell.clients),
      ...values,
      ratio(costs, 'gateway', 'bare'),
      ratio(costs, 'gateway', 'nginx'),
    ]
  })
  return `### Processor time, µs\n\n${table(['per', 'at once', ...names, 'gateway ÷ bare', 'gateway ÷ nginx'], rows)}`
}

function latencyTable(measured: readonly Measured[]): string {
  const names = namesOf(measured)
  const rows = measured.map(({ cell, results }) => {
    const of = (pick: (result: LoadResult) => number) => medians(results, pick)
    const p50 = of(result => latencyOf(cell, result).p50)
    const p99 = of(result => latencyOf(cell, result).p99)
    const rate = of(result => unitsOf(cell, result) / result.seconds)
    const values = names.map(name => `${figure(p50.get(name))} / ${figure(p99.get(name))} · ${figure(rate.get(name))}`)
    return [unitName(cell), String(cell.clients), ...values, ratio(p99, 'gateway', 'bare')]
  })
  const title = '### Latency p50 / p99, ms (streams: to the first event), and how many a second'
  return `${title}\n\n${table(['per', 'at once', ...names, 'p99 gateway ÷ bare'], rows)}`
}

function failureNote(measured: readonly Measured[]): string {
  const failures = measured.flatMap(({ cell, results }) =>
    [...results].map(([name, all]) => ({ name, cell, count: all.reduce((sum, result) => sum + result.failures, 0) })),
  )
  const bad = failures.filter(({ count }) => count > 0)
  if (bad.length === 0) return 'No request failed.\n'
  return bad
    .map(({ name, cell, count }) => `**${count} failed**: ${name}, ${cell.kind}, ${cell.clients} at once\n`)
    .join('')
}

function unitsOf(cell: Cell, result: LoadResult): number {
  return cell.kind === 'plain' ? result.requests : result.events
}

function unitName(cell: Cell): string {
  return cell.kind === 'plain' ? 'request' : `streamed event (${chunks} a request)`
}

function latencyOf(cell: Cell, result: LoadResult) {
  return cell.kind === 'plain' ? result.plain : result.firstEvent
}

function medians(results: Measured['results'], pick: (result: LoadResult) => number): Row {
  return new Map([...results].map(([name, all]) => [name, median(all.map(pick))]))
}

function namesOf(measured: readonly Measured[]): SubjectName[] {
  return [...(measured[0]?.results.keys() ?? [])]
}
