/** Draws the first table of the README's chapter on speed, so that one can see what it says: `bun scripts/bench/plot.ts`. */
import { readFileSync, writeFileSync } from 'node:fs'

const ROOT = new URL('../../', import.meta.url)
const PANELS = [
  { title: 'A request', row: /^request$/ },
  { title: 'A streamed event', row: /^streamed event/ },
]
const SUBJECTS = ['bare', 'gateway', 'nginx'] as const

const BAR = 26
const GROUP = SUBJECTS.length * BAR + 30
const HEIGHT = 180
const TOP = 64
const LEFT = 24

interface Group {
  /** How many are under way at once. */
  readonly concurrent: string
  /** Microseconds of each subject. */
  readonly values: readonly number[]
}

/** Draws the table: a panel for each kind of work, a group of bars for each number of requests at once. */
export function plotSpeed(readme: string): string {
  const rows = [...readme.matchAll(/^\| ([a-z][^|]*)\|([\d,.| ]+)\|$/gm)].map(([, name = '', numbers = '']) => ({
    name: name.trim(),
    cells: numbers.split('|').map(cell => cell.trim()),
  }))
  const panels = PANELS.map(({ title, row }) => ({
    title,
    groups: rows
      .filter(({ name }) => row.test(name))
      .map(({ cells: [concurrent = '', ...values] }) => ({
        concurrent,
        values: SUBJECTS.map((_, index) => Number(values[index]?.replaceAll(',', ''))),
      })),
  }))
  const drawn: string[] = []
  let x = LEFT
  for (const { title, groups } of panels) {
    drawn.push(`<text class="title" x="${x}" y="${TOP - 14}">${title}</text>`, ...groupsOf(groups, x))
    x += groups.length * GROUP + LEFT
  }
  return page(x, drawn)
}

function groupsOf(groups: readonly Group[], left: number): string[] {
  const highest = Math.max(...groups.flatMap(({ values }) => values))
  const floor = TOP + HEIGHT
  return groups.flatMap(({ concurrent, values }, at) => {
    const x = left + at * GROUP
    const bars = values.flatMap((value, index) => {
      const height = Math.round((value / highest) * (HEIGHT - 20))
      const start = x + index * BAR
      return [
        `<rect class="${SUBJECTS[index]}" x="${start}" y="${floor - height}" width="${BAR - 3}" height="${height}"/>`,
        `<text class="value" x="${start + (BAR - 3) / 2}" y="${floor - height - 4}">${value < 10 ? value.toFixed(1) : Math.round(value)}</text>`,
      ]
    })
    return [
      ...bars,
      `<text class="value" x="${x + (SUBJECTS.length * BAR) / 2}" y="${floor + 16}">${concurrent}</text>`,
    ]
  })
}

function page(width: number, drawn: readonly string[]): string {
  const key = SUBJECTS.map(
    (name, index) =>
      `<rect class="${name}" x="${LEFT + index * 90}" y="12" width="12" height="12"/><text x="${LEFT + 18 + index * 90}" y="22">${name}</text>`,
  )
  const height = TOP + HEIGHT + 44
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>Processor time of the gateway, a bare proxy and nginx</title>
<style>
svg { background: #fff }
text { font: 12px system-ui, sans-serif; fill: #1b222c }
.title { font-weight: 600 }
.value { font-size: 10px; text-anchor: middle }
.bare { fill: #8a94a3 }
.gateway { fill: #1d5fa8 }
.nginx { fill: #c7762a }
@media (prefers-color-scheme: dark) {
  svg { background: #11151b }
  text { fill: #dde3ea }
  .gateway { fill: #7db4f5 }
}
</style>
${[...key, ...drawn].join('\n')}
<text x="${LEFT}" y="${height - 10}">processor time in µs, by how many are under way at once; lower is better</text>
</svg>
`
}

if (import.meta.main)
  writeFileSync(new URL('scripts/bench/speed.svg', ROOT), plotSpeed(readFileSync(new URL('README.md', ROOT), 'utf8')))
