import { parseArgs } from 'node:util'
import { STRATEGIES } from '#routing/strategies/index.ts'
import { compare } from './engines/compare.ts'

const { values } = parseArgs({ options: { seed: { type: 'string', default: '1' } } })
const baseline = 'round_robin'

process.stdout.write('Four simulated servers, 2,000 requests; time to the first token.\n')
for (const { name, results } of compare([...STRATEGIES.keys()], Number(values.seed))) {
  const usual = results.find(({ strategy }) => strategy === baseline)?.p95 ?? 0
  const rows = results.map(({ strategy, p50, p95, loads, shares }) => [
    strategy,
    seconds(p50),
    seconds(p95),
    `${((p95 / usual - 1) * 100).toFixed(0)} %`,
    String(loads),
    shares.join(' '),
  ])
  process.stdout.write(`\n${name}\n`)
  for (const row of [['strategy', 'p50', 'p95', 'p95 beside', 'loads', 'requests'], ...rows]) {
    const [first = '', ...rest] = row
    process.stdout.write(`${first.padEnd(22)}${rest.map(cell => cell.padStart(11)).join(' ')}\n`)
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}
