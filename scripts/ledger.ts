// Is every call counted once? `bun scripts/ledger.ts --calls 20000`: calls to model servers that fail in many ways, of
// which four in ten are left by their clients at any moment; then the rows beside what the servers said. With `--kill`
// the gateway is killed in the middle and started again on the same folder. Loopback only.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { freePort, type Running, start, untilReady } from './bench/process.ts'
import { type Ending, sendCall } from './ledger/calls.ts'
import { type Account, accountFor } from './ledger/rows.ts'
import { type LedgerUpstream, startLedgerUpstream, type Truths } from './ledger/upstream.ts'

const MAIN = join(import.meta.dir, '../src/cli/main.ts')
const KEY = 'gw-ledger-0123456789'
const START_SECONDS = 20
/** The longest time of a call, after which its hold is nobody's any more, and how long that may take to be noticed. */
const TOTAL_SECONDS = 10
const SETTLE_SECONDS = 75

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '20000' },
    concurrency: { type: 'string', default: '64' },
    kill: { type: 'boolean', default: false },
  },
})
const calls = Number(values.calls)
const concurrency = Number(values.concurrency)

const folder = mkdtempSync(join(tmpdir(), 'citadel-ledger-'))
const truths: Truths = new Map()
const servers = await Promise.all([1, 2].map(() => startLedgerUpstream(truths, Math.random)))
const port = freePort()
const url = `http://127.0.0.1:${port}`
const file = join(folder, 'gateway.yaml')
writeFileSync(file, configurationOf(servers))
let gateway = await startGateway()
try {
  const endings = await load()
  const account = await settled(endings)
  report(endings, account)
  process.exitCode = isRight(account) ? 0 : 1
} finally {
  await gateway.stop()
  for (const server of servers) await server.stop()
  rmSync(folder, { recursive: true, force: true })
}

async function startGateway(): Promise<Running> {
  const running = start([process.execPath, MAIN, 'start', '--port', String(port), '--config', file], {
    cwd: folder,
    log: join(folder, 'output.txt'),
    env: { BUN_CONFIG_MAX_HTTP_REQUESTS: '65535' },
  })
  await untilReady(`${url}/readyz`, {}, START_SECONDS)
  return running
}

/** Sends all calls; half-way through the gateway is killed, when that is asked for. */
async function load(): Promise<ReadonlyMap<string, Ending>> {
  const endings = new Map<string, Ending>()
  let next = 0
  let restarted = Promise.resolve()
  const client = async () => {
    while (next < calls) {
      const user = `call-${next++}`
      if (values.kill && next === Math.floor(calls / 2)) restarted = killAndRestart()
      await restarted
      endings.set(user, await sendCall(url, { user, key: KEY }, Math.random))
    }
  }
  await Promise.all(Array.from({ length: concurrency }, client))
  return endings
}

async function killAndRestart(): Promise<void> {
  process.kill(gateway.pid, 'SIGKILL')
  await gateway.stop()
  gateway = await startGateway()
}

/** Waits until nothing is held any more and no row is missing. */
async function settled(endings: ReadonlyMap<string, Ending>): Promise<Account> {
  const end = performance.now() + SETTLE_SECONDS * 1000
  while (true) {
    const account = accountFor(join(folder, 'citadel.db'), truths, endings)
    if ((account.holds === 0 && account.missing === 0) || performance.now() > end) return account
    await Bun.sleep(500)
  }
}

function isRight(account: Account): boolean {
  const { doubled, missing, wrong, holds, held, ledgerTokens, truthTokens, spent, charged } = account
  return doubled + missing + wrong + holds + held === 0 && ledgerTokens === truthTokens && spent === charged
}

function report(endings: ReadonlyMap<string, Ending>, account: Account): void {
  const count = (ending: Ending) => [...endings.values()].filter(each => each === ending).length
  const lines = [
    [
      'calls',
      `${calls}: ${count('whole')} whole, ${count('left')} left, ${count('refused')} refused, ${count('broken')} broken off`,
    ],
    [
      'rows',
      `${account.rows}: ${Object.entries(account.byOutcome)
        .map(([name, rows]) => `${rows} ${name}`)
        .join(', ')}`,
    ],
    [
      'tokens',
      `${account.ledgerTokens} in the ledger, ${account.truthTokens} by the servers, ${account.wrong} rows differ`,
    ],
    ['money', `${account.spent} charged to the budget, ${account.charged} in the rows (billionths of a dollar)`],
    ['settled twice', `${account.doubled}`],
    ['without a row', `${account.missing}`],
    ['open holds', `${account.holds}, ${account.held} billionths held`],
  ]
  for (const [name = '', text] of lines) console.log(`${name.padEnd(16)}${text}`)
  console.log(isRight(account) ? 'every call is counted once' : 'NOT RIGHT')
}

function configurationOf(upstreams: readonly LedgerUpstream[]): string {
  const named = upstreams.map(({ url: base_url }, index) => ({
    id: `s${index + 1}`,
    kind: 'openai_compatible',
    base_url,
  }))
  const price = { input: 1.5, output: 6, cache_read: 0.15 }
  // JSON is YAML too.
  return JSON.stringify({
    service: { host: '127.0.0.1', data_dir: folder, drain_delay: '0s', drain_timeout: '3s' },
    gateway: { discover: false, demo: false },
    limits: { enabled: false },
    timeouts: { total: `${TOTAL_SECONDS}s` },
    load_balancer: { circuit_breaker_enabled: false },
    monitoring: { log_level: 'error' },
    auth: { keys: [{ name: 'load', key: KEY, budget: { usd: 1_000_000, per: 'month' } }] },
    servers: named,
    models: { chat: { targets: named.map(({ id }) => ({ server: id, model: 'm', price })) } },
  })
}
