// Measures the gateway beside the least proxy on the same runtime and beside nginx, in one run: `bun run bench`.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measureCost } from './cost.ts'
import { startGenerator } from './generator.ts'
import { describeMachine } from './machine.ts'
import { measureOpenStreams } from './open-streams.ts'
import { measureOverhead } from './overhead.ts'
import { profileSubject } from './profile.ts'
import type { Run } from './run.ts'
import { availableSubjects, type Subject, startSubject, startUpstream } from './subjects.ts'

const scenarios = { cost: measureCost, streams: measureOpenStreams, overhead: measureOverhead }

const usage = `bun run bench [--quick] [--only ${Object.keys(scenarios).join('|')}] [--without SUBJECT,…] [--profile]
  --quick     shorter and fewer rounds: a look, not a figure to quote
  --only      one scenario
  --without   leaves out bare, gateway or nginx
  --profile   writes a processor profile of the gateway instead
`

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    without: { type: 'string', default: '' },
    profile: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const chosen = Object.entries(scenarios).filter(([name]) => options.only === undefined || options.only === name)

if (options.help || chosen.length === 0) {
  process.stderr.write(usage)
  process.exitCode = options.help ? 0 : 2
} else {
  await main()
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'citadel-bench-'))
  const stops: (() => Promise<void>)[] = []
  let failed = true
  try {
    const run = await prepare(folder, stops)
    if (options.profile) process.stdout.write(await profile(run))
    else await report(run, stops)
    failed = false
  } finally {
    for (const stop of stops.reverse()) await stop()
    // After a failure the logs in there tell why.
    if (!failed) rmSync(folder, { recursive: true, force: true })
  }
}

async function report(run: Run & { subjects: Subject[] }, stops: (() => Promise<void>)[]): Promise<void> {
  const without = options.without.split(',')
  for (const name of availableSubjects().filter(name => !without.includes(name))) {
    const subject = await startSubject(name, run.bench)
    stops.push(subject.stop)
    run.subjects.push(subject)
  }
  process.stdout.write(`## Benchmark${options.quick ? ' (quick)' : ''}\n\n${await describeMachine()}\n`)
  for (const [, measure] of chosen) process.stdout.write(`${await measure(run)}\n`)
}

function profile(run: Run): Promise<string> {
  const name = availableSubjects().includes('gateway') ? 'gateway' : 'bare'
  return profileSubject(run, name, join(tmpdir(), `citadel-profile-${Date.now()}`))
}

async function prepare(folder: string, stops: (() => Promise<void>)[]): Promise<Run & { subjects: Subject[] }> {
  const upstream = await startUpstream(folder)
  stops.push(upstream.stop)
  const generator = startGenerator()
  stops.push(generator.stop)
  const control = `http://127.0.0.1:${upstream.port}/control`
  const begun = performance.now()
  return {
    bench: { folder, upstreamPort: upstream.port },
    generator,
    subjects: [],
    quick: options.quick,
    pace: async settings => {
      await fetch(control, { method: 'POST', body: JSON.stringify(settings) })
    },
    openStreams: async () => {
      const state: { open: number } = await (await fetch(control)).json()
      return state.open
    },
    progress: text => void process.stderr.write(`${Math.round((performance.now() - begun) / 1000)} s  ${text}\n`),
  }
}
