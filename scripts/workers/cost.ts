import { startGenerator } from '../bench/generator.ts'
import { type LoadResult, median } from '../bench/load-plan.ts'
import { figure, table } from '../bench/report.ts'
import { type Stoppable, startSubject, startUpstream } from '../bench/subjects.ts'

/** At once at each worker: the more come together, the less each costs. */
const CLIENTS = [32, 128] as const
const ROUNDS = 5
/** For each worker to compile its hot code. */
const WARM_SECONDS = 12

/** Compares the processor time of a request at one worker and at two, with as many clients for each and with five limits;
 * round after round in turn, so that a busy moment of the machine meets both. */
export async function compareCost(folder: string, seconds: number): Promise<string> {
  const running = new Set<Stoppable>()
  const upstream = await startUpstream(folder)
  const generator = startGenerator()
  const bench = { folder, upstreamPort: upstream.port, running }
  const gateways = []
  for (const workers of [1, 2]) gateways.push(await startSubject('gateway', bench, { workers, fiveLimits: true }))
  for (const [index, gateway] of gateways.entries()) {
    await generator.run(gateway, { clients: 64, kind: 'plain', seconds: WARM_SECONDS * (index + 1) })
  }
  const rows: string[][] = []
  for (const clients of CLIENTS) {
    const results = gateways.map((): LoadResult[] => [])
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, gateway] of gateways.entries()) {
        const workers = index + 1
        results[index]?.push(await generator.run(gateway, { clients: clients * workers, kind: 'plain', seconds }))
      }
    }
    rows.push(rowOf(clients, results))
  }
  for (const each of [...gateways, generator, upstream]) await each.stop()
  const headings = ['clients a worker', 'one, µs', 'two, µs', 'two ÷ one', 'one, a second', 'two, a second', 'failed']
  return `### Processor time of a request at one worker and at two\n\n${table(headings, rows)}`
}

function rowOf(clients: number, results: readonly (readonly LoadResult[])[]): string[] {
  const of = (pick: (result: LoadResult) => number) => results.map(all => median(all.map(pick)))
  const costs = of(({ cpuMicros, requests }) => cpuMicros / requests)
  const rates = of(({ requests, seconds }) => requests / seconds)
  const failed = results.flat().reduce((sum, { failures }) => sum + failures, 0)
  const ratio = (costs[1] ?? Number.NaN) / (costs[0] ?? Number.NaN)
  return [String(clients), ...costs.map(figure), `**${ratio.toFixed(2)}**`, ...rates.map(figure), String(failed)]
}
