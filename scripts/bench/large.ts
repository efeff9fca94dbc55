import { startGenerator } from './generator.ts'
import { median } from './load-plan.ts'
import { figure, ratio, table } from './report.ts'
import { interleaved, type Row, type Run } from './run.ts'
import type { Subject } from './subjects.ts'

const promptBytes = 1_000_000
const smallClients = 8

/** Measures what a prompt of a megabyte costs, and for how long small requests beside such prompts wait. */
export async function measureLargePrompts(run: Run): Promise<string> {
  await run.pace({ delayMs: 0 })
  return [await cost(run), await beside(run)].join('\n')
}

async function cost(run: Run): Promise<string> {
  run.progress('prompts of a megabyte')
  const seconds = run.quick ? 0.6 : 1.5
  const measure = (subject: Subject) =>
    run.generator.run(subject, { clients: 4, kind: 'plain', promptBytes, seconds, warmSeconds: 0.3 })
  const results = await interleaved(run.subjects, run.quick ? 1 : 5, measure)
  const costs: Row = new Map(
    [...results].map(([name, all]) => [name, median(all.map(({ cpuMicros, requests }) => cpuMicros / requests))]),
  )
  const failed = [...results.values()].flat().reduce((sum, { failures }) => sum + failures, 0)
  const names = [...costs.keys()]
  const headings = ['µs a request', ...names, 'gateway ÷ bare', 'failed']
  const row = ['1 MB', ...names.map(name => figure(costs.get(name))), ratio(costs, 'gateway', 'bare'), String(failed)]
  return `### Processor time of a prompt of 1 MB, 4 at once\n\n${table(headings, [row])}`
}

/** Small requests alone, then beside one client that sends large ones without a pause. */
async function beside(run: Run): Promise<string> {
  const large = startGenerator()
  try {
    const seconds = run.quick ? 1 : 2
    const small = (subject: Subject) => run.generator.run(subject, { clients: smallClients, kind: 'plain', seconds })
    const rounds = run.quick ? 1 : 3
    run.progress('small requests alone')
    const alone = await interleaved(run.subjects, rounds, small)
    run.progress('small requests beside large ones')
    const together = await interleaved(run.subjects, rounds, async subject => {
      const plan = { clients: 1, kind: 'plain', promptBytes, seconds: seconds + 0.15 } as const
      const [result] = await Promise.all([small(subject), large.run(subject, plan)])
      return result
    })
    const p99 = (results: typeof alone, { name }: Subject) =>
      median((results.get(name) ?? []).map(result => result.plain.p99))
    const rows = run.subjects.map(subject => {
      const [before, after] = [p99(alone, subject), p99(together, subject)]
      return [subject.name, figure(before), figure(after), `**${figure(after - before)}**`]
    })
    const title = `### Small requests, ${smallClients} at once, beside a client that sends prompts of 1 MB`
    return `${title}\n\n${table(['p99, ms', 'alone', 'beside', 'delay'], rows)}`
  } finally {
    await large.stop()
  }
}
