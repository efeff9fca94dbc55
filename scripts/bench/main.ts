// Measures the gateway beside the least proxy on the same runtime and beside nginx, in one run: `bun run bench`.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measureAccounts } from './accounts.ts'
import { measureCache } from './cache.ts'
import { measureCost } from './cost.ts'
import { startGenerator } from './generator.ts'
import { measureLargePrompts } from './large.ts'
import { describeMachine } from './machine.ts'
import { measureManyStreams } from './many.ts'
import { measureOpenStreams } from './open-streams.ts'
import { measureOverhead } from './overhead.ts'
import { profileSubject } from './profile.ts'
import type { Run } from './run.ts'
import { availableSubjects, type Stoppable, type Subject, startSubject, startUpstream } from './subjects.ts'
import { measureTranslation } from './translate.ts'

const scenarios = {
  cost: measureCost,
  streams: measureOpenStreams,
  many: measureManyStreams,
  large: measureLargePrompts,
  overhead: measureOverhead,
  translate: measureTranslation,
  cache: measureCache,
  accounts: measureAccounts,
}

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
  const running = new Set<Stoppable>()
  const stopAll = async () => {
    await Promise.all([...running].map(one => one.stop()))
  }
  const interrupted = async () => {
    await stopAll()
    rmSync(folder, { recursive: true, force: true })
    process.exit(130)
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void interrupted())
  try {
    const run = await prepare(folder, running)
    if (options.profile) process.stdout.write(await profile(run))
    else await report(run)
  } finally {
    await stopAll()
  }
  // Not after a failure: the logs in there tell why.
  rmSync(folder, { recursive: true, force: true })
}

async function report(run: Run & { subjects: Subject[] }): Promise<void> {
  const without = options.without.split(',')
  for (const name of availableSubjects().filter(name => !without.includes(name))) {
    run.subjects.push(await startSubject(name, run.bench))
  }
  process.stdout.write(`## Benchmark${options.quick ? ' (quick)' : ''}\n\n${await describeMachine()}\n`)
  for (const [, measure] of chosen) process.stdout.write(`${await measure(run)}\n`)
}

function profile(run: Run): Promise<string> {
  const name = availableSubjects().includes('gateway') ? 'gateway' : 'bare'
  return profileSubject(run, name, join(tmpdir(), `citadel-profile-${Date.now()}`))
}

async function prepare(folder: string, running: Set<Stoppable>): Promise<Run & { subjects: Subject[] }> {
  const upstream = await startUpstream(folder)
  running.add(upstream)
  const generator = startGenerator()
  running.add(generator)
  const control = `http://127.0.0.1:${upstream.port}/control`
  const begun = performance.now()
  return {
    bench: { folder, upstreamPort: upstream.port, running },
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
