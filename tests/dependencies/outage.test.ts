import { expect, test } from 'bun:test'
import { SQL } from 'bun'
import { verifyAudit } from '#events/verify.ts'
import { createSqlAuditSource } from '#stores/sql-audit.ts'
import { openAt } from '#tests/contract/database.ts'
import { configOf, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { startPostgres } from '#tests/support/postgres.ts'
import { ownFolder } from '#tests/support/server-process.ts'

const OUTAGE_MS = 60_000
const ROUND_MS = 250
/** How long rows may take to be written once the database is back: the pause between two trials, and some more. */
const WRITTEN_MS = 20_000
const [KNOWN, ADMIN] = ['gw-known-0123456789abcdef', 'gw-admin-0123456789abcdef']

/** One request of each kind: a call, a call with a wrong key, and an action of an administrator. */
async function round({ url, chat }: TestGateway) {
  const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })
  const answers = [
    await chat({}, as(KNOWN)),
    await chat({}, as('gw-wrong-0123456789abcdef')),
    await fetch(`${url}/management/keys`, { ...as(ADMIN), method: 'POST', body: JSON.stringify({ name: 'new' }) }),
  ]
  for (const answer of answers) await answer.text()
  return answers.map(answer => ({ id: answer.headers.get('x-request-id') ?? '', status: answer.status }))
}

interface Written {
  readonly requests: readonly string[]
  /** Requests that were refused or failed, as the audit log tells of them, and the place of each row, in the order of the chain. */
  readonly audited: readonly string[]
  readonly places: readonly number[]
}

async function read(url: string): Promise<Written> {
  const sql = new SQL({ url, max: 1 })
  try {
    const requests: { id: string }[] = await sql`SELECT id FROM requests ORDER BY id`
    const rows: { request_id: string | null; seq: string; outcome: string }[] = await sql`
      SELECT request_id, seq, outcome FROM audit ORDER BY seq`
    return {
      requests: requests.map(({ id }) => id),
      // Of a key's good calls the audit log tells once a minute, of what was refused or failed always.
      audited: rows.flatMap(({ request_id, outcome }) => (outcome === 'ok' || request_id === null ? [] : request_id)),
      places: rows.map(({ seq }) => Number(seq)),
    }
  } finally {
    await sql.close()
  }
}

test('no row is lost while Postgres is away for a minute: all are there, once and in order', async () => {
  await using postgres = await startPostgres()
  const url = await postgres.database()
  const folder = await ownFolder('citadel-outage-')
  await using server = await startModelServer(openAiScript())
  const rounds: Awaited<ReturnType<typeof round>>[] = []
  {
    await using gateway = await startGateway({
      ...configOf([server]),
      service: { data_dir: folder.path },
      database: { url },
      auth: { admin_keys: [ADMIN], keys: [{ name: 'known', key: KNOWN }], failures_per_minute: 0 },
    })
    rounds.push(await round(gateway))
    await postgres.stop()
    const endsAt = performance.now() + OUTAGE_MS
    while (performance.now() < endsAt) {
      rounds.push(await round(gateway))
      await Bun.sleep(ROUND_MS)
    }
    await postgres.start()
    rounds.push(await round(gateway))
    const writtenBy = performance.now() + WRITTEN_MS
    while ((await read(url)).audited.length < 2 * rounds.length && performance.now() < writtenBy) await Bun.sleep(100)
  }
  const written = await read(url)
  const database = openAt({ kind: 'postgres', url })
  const { problems } = await verifyAudit(createSqlAuditSource(database))
  await database.close()
  await folder.remove()

  const calls = rounds.flatMap(([call]) => call ?? [])
  const told = rounds.flatMap(([, ...others]) => others).filter(({ status }) => status !== 201)
  expect(told.filter(({ status }) => status === 503).length).toBeGreaterThan(100)
  expect(new Set(told.map(({ status }) => status))).toEqual(new Set([401, 503]))
  expect(new Set(calls.map(({ status }) => status))).toEqual(new Set([200]))
  const ids = told.map(({ id }) => id)
  expect(written.requests.filter(id => calls.some(call => call.id === id))).toEqual(calls.map(({ id }) => id))
  expect(written.audited.filter(id => ids.includes(id))).toEqual(ids)
  expect(written.places).toEqual(written.places.map((_, index) => index + 1))
  expect(problems).toEqual([])
}, 150_000)
