import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { SQL } from 'bun'
import { verifyAudit } from '#events/verify.ts'
import { createSqlAuditSource } from '#stores/sql-audit.ts'
import { openAt } from '#tests/contract/database.ts'
import { configOf, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { type Postgres, startPostgres } from '#tests/support/postgres.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { startTcpProxy, type TcpProxy } from '#tests/support/tcp-proxy.ts'

setDefaultTimeout(60_000)

const KEY = 'gw-known-0123456789abcdef'
/** The longest wait for a database that does not answer, and what a busy machine adds. */
const ADDED_MS = 300
const SLACK_MS = 400
/** How long a process leaves a database alone that did not answer. */
const AWAY_MS = 2000

let postgres: Postgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres[Symbol.asyncDispose]())

interface Scene {
  readonly postgres: Postgres
  readonly proxy: TcpProxy
  /** Runs statements in the database beside the gateway. */
  administer(...statements: readonly string[]): Promise<void>
}

/** One way in which a database fails: before the gateway starts, while it serves, and how it comes back. */
interface Failure {
  before?(scene: Scene): void | Promise<void>
  during?(scene: Scene): void | Promise<void>
  after(scene: Scene): void | Promise<void>
  /** Calls whose rows are gone with the database. */
  readonly forgotten?: number
}

const CALLS = 12

const FAILURES: Readonly<Record<string, Failure>> = {
  'is down at the start': { before: ({ proxy }) => proxy.set('down'), after: ({ proxy }) => proxy.set('pass') },
  dies: { during: () => postgres.kill(), after: () => postgres.start() },
  'is slow': { during: ({ proxy }) => proxy.set('slow'), after: ({ proxy }) => proxy.set('pass') },
  'is a black hole': { during: ({ proxy }) => proxy.set('hole'), after: ({ proxy }) => proxy.set('pass') },
  flaps: {
    async during({ proxy }) {
      for (const mode of ['down', 'pass', 'down', 'pass', 'down'] as const) {
        proxy.set(mode)
        await Bun.sleep(30)
      }
    },
    after: ({ proxy }) => proxy.set('pass'),
  },
  'is read-only': {
    during: ({ administer }) => administer('ALTER DATABASE CURRENT SET default_transaction_read_only = on'),
    after: ({ administer }) =>
      administer(
        'SET default_transaction_read_only = off',
        'ALTER DATABASE CURRENT SET default_transaction_read_only = off',
      ),
  },
  'comes back empty': {
    during: ({ proxy }) => proxy.set('down'),
    async after({ proxy, administer }) {
      await administer('DROP SCHEMA public CASCADE', 'CREATE SCHEMA public')
      proxy.set('pass')
    },
    forgotten: CALLS,
  },
}

/** Sends calls one after the other.
 *
 * @returns Their ids, how many failed, and how long each took in milliseconds. */
async function send(gateway: TestGateway, count: number) {
  const ids: string[] = []
  const times: number[] = []
  let failed = 0
  for (let call = 0; call < count; call++) {
    const startedAt = performance.now()
    const response = await gateway.chat({ max_tokens: 10 }, { headers: { authorization: `Bearer ${KEY}` } })
    await response.text()
    times.push(performance.now() - startedAt)
    if (response.status !== 200) failed++
    ids.push(response.headers.get('x-request-id') ?? '')
  }
  return { ids, times, failed }
}

async function rowsAre(url: string, count: number): Promise<readonly string[]> {
  const endsAt = performance.now() + 20_000
  while (true) {
    const rows = await idsIn(url)
    if (rows.length >= count || performance.now() > endsAt) return rows
    await Bun.sleep(50)
  }
}

async function idsIn(url: string): Promise<string[]> {
  const sql = new SQL({ url, max: 1 })
  try {
    const rows: { id: string }[] = await sql`SELECT id FROM requests WHERE parent IS NULL ORDER BY id`
    return rows.map(({ id }) => id)
  } catch {
    return []
  } finally {
    await sql.close()
  }
}

async function run(url: string, ...statements: readonly string[]): Promise<void> {
  const sql = new SQL({ url, max: 1 })
  try {
    for (const statement of statements) {
      await sql.unsafe(statement.replace('DATABASE CURRENT', `DATABASE ${new URL(url).pathname.slice(1)}`))
    }
    // Who is connected already would not notice what was changed.
    await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`
  } finally {
    await sql.close()
  }
}

describe('a Postgres that', () => {
  test.each(Object.entries(FAILURES))('%s: no call fails or waits, and no row is lost', async (_, failure) => {
    const url = await postgres.database()
    await using proxy = await startTcpProxy(Number(new URL(url).port))
    const throughProxy = Object.assign(new URL(url), { port: `${proxy.port}` }).href
    const folder = await ownFolder('citadel-down-')
    await using server = await startModelServer(openAiScript())
    const scene: Scene = { postgres, proxy, administer: (...statements) => run(url, ...statements) }
    await failure.before?.(scene)
    let ids: readonly string[] = []
    {
      await using gateway = await startGateway({
        ...configOf([server]),
        service: { data_dir: folder.path },
        database: { url: throughProxy, timeout: '2s' },
        models: { chat: { targets: [{ server: 'a', model: 'test-model', price: { input: 1, output: 2 } }] } },
        auth: { keys: [{ name: 'known', key: KEY, budget: { usd: 10, per: 'month' } }] },
      })
      const first = await send(gateway, CALLS)
      if (failure.before === undefined) await rowsAre(url, CALLS)
      await failure.during?.(scene)
      const startedAt = performance.now()
      const away = await send(gateway, CALLS)
      const awayMs = performance.now() - startedAt
      await failure.after(scene)
      const last = await send(gateway, CALLS)
      ids = [...first.ids, ...away.ids, ...last.ids].slice(failure.forgotten ?? 0)
      const rows = await rowsAre(url, ids.length)

      expect([first.failed, away.failed, last.failed]).toEqual([0, 0, 0])
      expect(Math.max(...first.times, ...away.times, ...last.times)).toBeLessThan(ADDED_MS + SLACK_MS)
      // One call finds out that it is away; the others do not wait, until one looks again.
      expect(away.times.filter(ms => ms > ADDED_MS / 2).length).toBeLessThanOrEqual(1 + Math.floor(awayMs / AWAY_MS))
      expect(rows).toEqual(ids.toSorted())
    }
    const database = openAt({ kind: 'postgres', url })
    const found = await verifyAudit(createSqlAuditSource(database))
    await database.close()
    await folder.remove()

    // What a database has forgotten is missing from its chain, and nothing else is.
    expect(
      found.problems.filter(problem => failure.forgotten === undefined || !/^(?:rows|batch) /.test(problem)),
    ).toEqual([])
  })
})
