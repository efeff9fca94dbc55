#!/usr/bin/env bun
/** Several workers on one port: whether anybody notices when all are replaced, and what two cost beside one.
 *
 * `bun scripts/workers.ts [--rounds N] [--streams N] [--seconds N] [--only rolling|cost]`
 *
 * Connections that are just being made when a worker stops listening are moved to the others where the system is told to
 * (`net.ipv4.tcp_migrate_req=1`). Both ways are measured in networks of their own, which takes the rights to make them;
 * without those the system is measured as it is. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { figure, table } from './bench/report.ts'
import { compareCost } from './workers/cost.ts'
import { measureRolling, type Rolling } from './workers/rolling.ts'

const SETTING = '/proc/sys/net/ipv4/tcp_migrate_req'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    streams: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '1' },
    only: { type: 'string' },
    /** How it runs itself in a network of its own. */
    inside: { type: 'boolean', default: false },
  },
})
const [rounds, streams, seconds] = [options.rounds, options.streams, options.seconds].map(Number)

if (options.inside) console.log(JSON.stringify(await inFolder(rollingIn)))
else {
  if (options.only !== 'cost') process.stdout.write(rollingTable(await bothWays()))
  if (options.only !== 'rolling') process.stdout.write(await inFolder(folder => compareCost(folder, seconds ?? 1)))
}

async function inFolder<T>(measure: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'citadel-workers-bench-'))
  const result = await measure(folder)
  rmSync(folder, { recursive: true, force: true })
  return result
}

async function rollingIn(folder: string): Promise<Rolling> {
  return measureRolling(folder, { rounds: rounds ?? 10, streams: streams ?? 200 })
}

/** Measures with and without the setting, each in a network of its own. */
async function bothWays(): Promise<readonly (readonly [setting: string, Rolling])[]> {
  const measured: (readonly [string, Rolling])[] = []
  for (const value of ['0', '1']) {
    const rolling = runInside(value)
    if (rolling === null) return [['as it is here', await inFolder(rollingIn)]]
    measured.push([value === '1' ? 'on' : 'off', rolling])
  }
  return measured
}

/** `null` where no network can be made. */
function runInside(value: string): Rolling | null {
  const own = [process.execPath, import.meta.path, '--inside', '--rounds', options.rounds, '--streams', options.streams]
  const script = `ip link set lo up && echo ${value} > ${SETTING} && exec "$@"`
  const { stdout, exitCode } = Bun.spawnSync(['unshare', '--net', 'sh', '-c', script, 'sh', ...own], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return exitCode === 0 ? JSON.parse(stdout.toString()) : null
}

function rollingTable(measured: readonly (readonly [string, Rolling])[]): string {
  const rows = measured.map(([setting, { seen, seconds: took }]) => [
    setting,
    `${seen.streams.failed} of ${seen.streams.done}`,
    `${seen.kept.failed} of ${seen.kept.done}`,
    `${seen.fresh.failed} of ${seen.fresh.done}`,
    figure(seen.fresh.done / took),
  ])
  const title = `### All of two workers replaced ${rounds} times in a row under load: what failed`
  const headings = [
    'tcp_migrate_req',
    'open streams',
    'requests on kept connections',
    'new connections',
    'of them a second',
  ]
  return `${title}\n\n${table(headings, rows)}\n`
}
