import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { SQL } from 'bun'
import { verifyAudit } from '#events/verify.ts'
import { createSqlAuditSource } from '#stores/sql-audit.ts'
import { openAt } from '#tests/contract/database.ts'
import { type Outcome, POSTGRES } from '#tests/dependencies/table.ts'
import { configOf, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { type Postgres, startPostgres } from '#tests/support/postgres.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { startTcpProxy, type TcpProxy } from '#tests/support/tcp-proxy.ts'
import type { Upstream } from '#tests/support/upstream.ts'

setDefaultTimeout(60_000)

const KEYS = {
  admin: 'gw-admin-0123456789abcdef',
  known: 'gw-known-0123456789abcdef',
  bound: 'gw-bound-0123456789abcdef',
  nobody: `ck_${'x'.repeat(43)}`,
}
/** Calls of one dollar that each gateway is sent in each phase, and dollars that the bound key may spend in all. */
const CALLS = 6
const BUDGET = 20
/** The longest wait for a database that does not answer, and what a busy machine adds. */
const ADDED_MS = 300
const SLACK_MS = 400
/** By how much a timer may be early, and more. */
const ROUNDING_MS = 20
/** How long a process leaves a database alone that did not answer. */
const AWAY_MS = 2000

let postgres: Postgres
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres[Symbol.asyncDispose]())

interface Scene {
  readonly proxy: TcpProxy
  /** Runs statements in the database beside the gateways, and then ends their connections. */
  administer(...statements: readonly string[]): Promise<void>
}

/** One way in which a database fails: before the gateways start, or while they serve; and how it comes back. */
interface Failure {
  before?(scene: Scene): void | Promise<void>
  during?(scene: Scene): void | Promise<void>
  after(scene: Scene): void | Promise<void>
}

const pass = ({ proxy }: Scene) => proxy.set('pass')

const FAILURES: Readonly<Record<keyof typeof POSTGRES, Failure>> = {
  'down at the start': { before: ({ proxy }) => proxy.set('down'), after: pass },
  dies: { during: () => postgres.kill(), after: () => postgres.start() },
  'slow, 300 ms': { during: ({ proxy }) => proxy.set('slow'), after: pass },
  'black hole': { during: ({ proxy }) => proxy.set('hole'), after: pass },
  flapping: {
    async during({ proxy }) {
      for (const mode of ['down', 'pass', 'down', 'pass', 'down'] as const) {
        proxy.set(mode)
        await Bun.sleep(30)
      }
    },
    after: pass,
  },
  'read-only': {
    during: ({ administer }) => administer('ALTER DATABASE CURRENT SET default_transaction_read_only = on'),
    after: ({ administer }) =>
      administer(
        'SET default_transaction_read_only = off',
        'ALTER DATABASE CURRENT SET default_transaction_read_only = off',
      ),
  },
  'out of memory': {
    async during({ administer }) {
      await postgres.starve()
      await administer()
    },
    after: () => postgres.feed(),
  },
  'restarted empty': {
    during: ({ proxy }) => proxy.set('down'),
    async after({ proxy, administer }) {
      await administer('DROP SCHEMA public CASCADE', 'CREATE SCHEMA public')
      proxy.set('pass')
    },
  },
}

const isName = (name: string): name is keyof typeof POSTGRES => name in POSTGRES

/** What calls that were sent one after the other came to. */
interface Sent {
  readonly ids: string[]
  /** `200`, or the status and the code of an error. */
  readonly ends: string[]
  /** Milliseconds. */
  readonly times: number[]
}

async function send(gateway: TestGateway, key: string, count: number): Promise<Sent> {
  const sent: Sent = { ids: [], ends: [], times: [] }
  for (let call = 0; call < count; call++) {
    const startedAt = performance.now()
    const response = await gateway.chat({ max_tokens: 10 }, as(key))
    const { error } = await response.json()
    sent.times.push(performance.now() - startedAt)
    sent.ends.push(error === undefined ? `${response.status}` : `${response.status} ${error.code}`)
    sent.ids.push(response.headers.get('x-request-id') ?? '')
  }
  return sent
}

/** Sends calls of each key to each gateway: to all at the same time, to each one after the other. */
async function sendAll(gateways: readonly TestGateway[], keys: readonly string[], count: number) {
  const all = await Promise.all(
    gateways.map(async gateway => {
      const sent: Sent[] = []
      for (const key of keys) sent.push(await send(gateway, key, count))
      return sent
    }),
  )
  return {
    ids: all.flat().flatMap(({ ids }) => ids),
    times: all.map(one => one.flatMap(({ times }) => times)),
    /** Of each key, over all gateways. */
    ends: keys.map((_, index) => all.flatMap(one => one[index]?.ends ?? [])),
  }
}

const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })
const passed = (ends: readonly string[] = []) => ends.filter(end => end === '200').length

/** Makes a key that only the database knows. */
async function storedKey({ url }: TestGateway): Promise<string> {
  const body = JSON.stringify({ name: 'stored' })
  const response = await fetch(`${url}/management/keys`, { ...as(KEYS.admin), method: 'POST', body })
  const { key } = await response.json()
  return key
}

/** Spends a part of the budget in turn, so that each gateway knows to a dollar how much is left. */
async function spendInTurn(gateways: readonly TestGateway[], count: number): Promise<Pick<Sent, 'ids' | 'times'>> {
  const all: Sent[] = []
  for (let call = 0; call < count; call++) {
    for (const gateway of gateways) all.push(await send(gateway, KEYS.bound, 1))
  }
  return { ids: all.flatMap(({ ids }) => ids), times: all.flatMap(({ times }) => times) }
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

/** A connection of its own, which stands from the start: who is short of memory takes no new ones. */
function administrator(url: string) {
  const sql = new SQL({ url, max: 1 })
  return {
    async run(...statements: readonly string[]): Promise<void> {
      for (const statement of statements) {
        await sql.unsafe(statement.replace('DATABASE CURRENT', `DATABASE ${new URL(url).pathname.slice(1)}`))
      }
      // Who is connected already would not notice what was changed.
      await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()`
    },
    close: () => sql.close(),
  }
}

function gatewayOn(server: Upstream, databaseUrl: string, folder: string): Promise<TestGateway> {
  return startGateway({
    ...configOf([server]),
    service: { data_dir: folder },
    database: { url: databaseUrl, timeout: '2s' },
    models: { chat: { targets: [{ server: 'a', model: 'test-model', price: { request: 1 } }] } },
    auth: {
      admin_keys: [KEYS.admin],
      keys: [
        { name: 'known', key: KEYS.known, budget: { usd: 10_000, per: 'month' } },
        { name: 'bound', key: KEYS.bound, budget: { usd: BUDGET, per: 'month' } },
      ],
    },
  })
}

test('the table has every way to fail', () => {
  expect(Object.keys(FAILURES)).toEqual(Object.keys(POSTGRES))
})

describe('a Postgres that is', () => {
  test.each(Object.keys(FAILURES).filter(isName))('%s: no call fails or waits, and no row is lost', async name => {
    const failure: Failure = FAILURES[name]
    const expected: Outcome & { readonly rows: string } = POSTGRES[name]
    const isUpAtFirst = failure.before === undefined
    const url = await postgres.database()
    await using proxy = await startTcpProxy(Number(new URL(url).port))
    const throughProxy = Object.assign(new URL(url), { port: `${proxy.port}` }).href
    const folders = await Promise.all([ownFolder('citadel-down-'), ownFolder('citadel-down-')])
    await using server = await startModelServer(openAiScript())
    const admin = administrator(url)
    const scene: Scene = { proxy, administer: admin.run }
    const known = [KEYS.known]
    await admin.run()
    await failure.before?.(scene)
    {
      await using one = await gatewayOn(server, throughProxy, folders[0].path)
      if (isUpAtFirst) known.push(await storedKey(one))
      // Begins once the key is there: who hears of a new key has to ask for all of them again.
      await using other = await gatewayOn(server, throughProxy, folders[1].path)
      const gateways = [one, other]
      const first = await sendAll(gateways, known, CALLS)
      const inTurn = await spendInTurn(gateways, CALLS)
      const before = [...first.ids, ...inTurn.ids]
      const written = isUpAtFirst ? await rowsAre(url, before.length) : []
      await failure.during?.(scene)
      const startedAt = performance.now()
      const away = await sendAll(gateways, [...known, KEYS.bound], 3 * CALLS)
      const awayMs = performance.now() - startedAt
      const stranger = await send(one, KEYS.nobody, 1)
      await failure.after(scene)
      const last = await sendAll(gateways, [KEYS.known], CALLS)
      const ids = [...before, ...away.ids, ...last.ids]
      const kept = expected.rows === 'gone' ? ids.filter(id => !written.includes(id)) : ids
      const rows = await rowsAre(url, kept.length)

      const ends = [first, away, last].flatMap(phase => phase.ends.slice(0, known.length).flat())
      expect(ends.filter(end => end !== '200')).toEqual([])
      expect(stranger.ends.filter(end => !expected.unknown.includes(Number.parseInt(end, 10)))).toEqual([])
      expect(Math.max(...[first, away, last].flatMap(phase => phase.times.flat()))).toBeLessThan(ADDED_MS + SLACK_MS)
      // One call finds out that it is away; the others do not wait, until one looks again.
      const looks = 1 + Math.floor(awayMs / AWAY_MS)
      for (const times of away.times) {
        expect(times.filter(ms => ms > ADDED_MS - ROUNDING_MS).length).toBeLessThanOrEqual(looks)
      }
      // What was left, by each of them once; the first one has not heard of the last call of the other.
      const left = BUDGET - CALLS * gateways.length
      // On a busy machine a gateway may have gone on alone before, and then it knows of its own calls only.
      const inTouch = isUpAtFirst && Math.max(...first.times.flat(), ...inTurn.times) < ADDED_MS - ROUNDING_MS
      const heard = inTouch ? left : BUDGET - CALLS
      expect(passed(away.ends.at(-1))).toBeGreaterThanOrEqual(left)
      expect(passed(away.ends.at(-1))).toBeLessThanOrEqual(gateways.length * heard + 1)
      expect(rows).toEqual(kept.toSorted())
    }
    await admin.close()
    const database = openAt({ kind: 'postgres', url })
    const found = await verifyAudit(createSqlAuditSource(database))
    await database.close()
    for (const folder of folders) await folder.remove()

    // What a database has forgotten is missing from its chain, and nothing else is.
    expect(found.problems.filter(problem => expected.rows !== 'gone' || !/^(?:rows|batch) /.test(problem))).toEqual([])
  })
})
