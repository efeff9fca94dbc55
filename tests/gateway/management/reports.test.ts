import { expect, setDefaultTimeout, test } from 'bun:test'
import type { AuditRow } from '#core/ledger.ts'
import { createChain } from '#events/chain.ts'
import { createReportManagement, type Keeping, type ReportManagement } from '#gateway/management/reports.ts'
import { createIds, firstIdAt } from '#lib/id.ts'
import { createSqlLedger } from '#stores/sql-ledger.ts'
import { createSqlReports } from '#stores/sql-reports.ts'
import { openAt } from '#tests/contract/database.ts'
import { rowOf } from '#tests/contract/ledger.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'

setDefaultTimeout(60_000)

// What databases put in different orders: what is not there, letters of either case, signs, and characters whose order
// in UTF-8 is not that of UTF-16.
const NAMES = [null, 'b', 'A', 'a', 'B', '-a', 'ä', '～', '𝒳', '_', 'a b']

/** Everything is kept, and for ever. */
const KEPT: Keeping = { keeps: () => true, since: () => 0 }

const DAY = '2026-01-31'

/** A row of that day, whose id says so, too. */
function rowThen(name: string, nano: number | null, more: Parameters<typeof rowOf>[2]) {
  return rowOf(`${firstIdAt(Date.parse(DAY))}-${name}`, nano, { day: DAY, ...more })
}

interface Page<Line> {
  readonly data: readonly Line[]
  readonly next: string | null
}

/** All lines, read page by page, while something is done after each. */
async function walk<Line>(
  page: (after: string | null) => Promise<Page<Line>>,
  meanwhile: (read: number) => unknown,
): Promise<Line[]> {
  const lines: Line[] = []
  for (let after: string | null = null; ; ) {
    const { data, next }: Page<Line> = await page(after)
    lines.push(...data)
    if (next === null) return lines
    await meanwhile(lines.length)
    after = next
  }
}

const usageQuery = {
  ...{ tenant: null, by: ['model', 'user'] as const, from: '2026-01-01', to: '2026-12-31' },
  ...{ key: null, model: null, server: null, limit: 3 },
}

test.each([
  ['SQLite, in turns', sqlitePlaces, true],
  ['SQLite, at once', sqlitePlaces, false],
  ['Postgres', postgresPlaces, false],
] as const)('a page goes on behind the last row of the one before, in %s', async (_, open, inProcess) => {
  const places = await open()
  const database = openAt(await places.place())
  const ledger = createSqlLedger(database)
  const reports = createReportManagement(createSqlReports(database, { inProcess }), KEPT)
  const row = (id: string, more: Parameters<typeof rowOf>[2]) =>
    rowThen(id, 1, { started_at: 1000, session_id: null, ...more })
  const rows = NAMES.flatMap((model, m) => NAMES.map((user_id, u) => row(`r${m}-${u}`, { model, user_id })))
  await ledger.write({ requests: rows, audit: [] })

  const sums = await walk(
    after => reports.usage({ ...usageQuery, after }),
    read => ledger.write({ requests: [row(`n${read}`, { model: null, user_id: ` ${read}` })], audit: [] }),
  )
  const users = await walk(
    after => reports.named({ of: 'users', tenant: null, key: 'web', limit: 2, after }),
    read => ledger.write({ requests: [row(`s${read}`, { user_id: `new ${read}`, started_at: 2000 })], audit: [] }),
  )

  const told = sums.map(({ model, user }) => JSON.stringify([model, user]))
  expect(new Set(told).size).toBe(told.length)
  for (const { model, user_id } of rows) expect(told).toContain(JSON.stringify([model, user_id]))
  const ids = users.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  for (const name of NAMES) if (name !== null) expect(ids).toContain(name)
  await database.close()
  await places.close()
})

test('a line says what its requests have used, saved and cost', async () => {
  const places = await sqlitePlaces()
  const database = openAt(await places.place())
  const reports = createReportManagement(createSqlReports(database, { inProcess: true }), KEPT)
  const of = { model: 'm', user_id: 'u', input_tokens: 0, output_tokens: 0 }
  const rows = [
    rowThen('whole', 1_500_000_000, {
      ...of,
      ...{ input_tokens: 1, cache_read_tokens: 2, cache_write_tokens: 3, output_tokens: 4, reasoning_tokens: 5 },
      ...{ saved_tokens: 6, extra_cost_nano: 250_000_000, saved_nano: 125_000_000, estimated: 1 },
    }),
    rowThen('lost', null, { ...of, outcome: 'lost' }),
    rowThen('unpriced', null, of),
  ]
  await createSqlLedger(database).write({ requests: rows, audit: [] })

  const { data, next } = await reports.usage({ ...usageQuery, after: null })

  expect(data).toEqual([
    {
      ...{ model: 'm', user: 'u', requests: 3, estimated: 1, lost: 1, unpriced: 2 },
      ...{ input_tokens: 1, cache_read_tokens: 2, cache_write_tokens: 3, output_tokens: 4, reasoning_tokens: 5 },
      ...{ saved_tokens: 6, cost_usd: 1.5, extra_cost_usd: 0.25, saved_usd: 0.125 },
    },
  ])
  expect(next).toBeNull()
  await database.close()
  await places.close()
})

test('a report that nobody keeps says so, and one in which nothing happened does not', async () => {
  const empty = { usage: async () => [], named: async () => [], audit: async () => [] }
  const asked = { tenant: null, kind: null, actor: null, from: 0, to: 1, limit: 1, after: null }
  const notes = async (reports: ReportManagement) => [
    (await reports.usage({ ...usageQuery, after: null })).note,
    (await reports.named({ of: 'users', tenant: null, key: null, limit: 1, after: null })).note,
    (await reports.audit(asked)).note,
  ]
  const [nowhere, unlogged, quiet] = [
    await notes(createReportManagement(null, { ...KEPT, keeps: () => false })),
    await notes(createReportManagement(empty, { ...KEPT, keeps: what => what === 'requests' })),
    await notes(createReportManagement(empty, KEPT)),
  ]

  const [rows, log] = [
    expect.stringMatching(/^No rows of requests .*data_dir/),
    expect.stringMatching(/audit\.enabled/),
  ]
  expect([nowhere, unlogged, quiet]).toEqual([
    [rows, rows, log],
    [undefined, undefined, log],
    [undefined, undefined, undefined],
  ])
})

test('what no page ended with is refused', async () => {
  const reports: ReportManagement = createReportManagement(null, { ...KEPT, keeps: () => false })
  const cursors = [
    '1',
    'x',
    '',
    btoa('{"model":"m"}'),
    btoa('{"model":"m","user":1}'),
    btoa('{"user":"u","model":"m"}'),
  ]
  const nul = btoa('{"model":"m","user":"\\u0000"}')
  const named = ['"x1"', '"1x"', 'null'].map(seen => btoa(`{"seen":${seen},"tenant":"t","key":"k","id":"i"}`))
  const halves = ['tenant', 'key', 'id'].map(gone =>
    btoa(JSON.stringify({ seen: '1', tenant: 't', key: 'k', id: 'i', [gone]: null })),
  )

  for (const after of [...cursors, nul, ...named, ...halves]) {
    const usage = reports.usage({ ...usageQuery, after })
    await expect(usage).rejects.toMatchObject({ code: 'invalid_request', param: 'after' })
    const users = reports.named({ of: 'users', tenant: null, key: null, limit: 1, after })
    await expect(users).rejects.toMatchObject({ code: 'invalid_request', param: 'after' })
  }
  for (const after of [...cursors, '.a', '1.', '1.a b', 'x1.a', '1.a.', `1.${'a'.repeat(65)}`, `${10 ** 16}.a`]) {
    const audit = reports.audit({ tenant: null, kind: null, actor: null, from: 0, to: 1, limit: 1, after })
    await expect(audit).rejects.toMatchObject({ code: 'invalid_request', param: 'after' })
  }
})

test('the audit log says where the next page begins, as long as there is one', async () => {
  const places = await sqlitePlaces()
  const database = openAt(await places.place())
  const ledger = createSqlLedger(database)
  const reports = createReportManagement(createSqlReports(database, { inProcess: true }), KEPT)
  const kept: AuditRow[] = []
  const chain = createChain('c', {
    newId: createIds(),
    keep: row => {
      kept.push(row)
      return true
    },
  })
  const said = { kind: 'health', action: 'x', outcome: 'ok', detail: '{}', tenant: 'default' } as const
  const nobody = { actor: null, address: null, request_id: null, subject: null, code: null }
  for (const at of [1, 2, 3, 4]) chain.add({ ...said, ...nobody, at })
  await ledger.write({ requests: [], audit: kept })
  const query = { tenant: null, kind: null, actor: null, from: 0, to: 10 }

  const lines = await walk(
    after => reports.audit({ ...query, limit: 2, after }),
    read => expect(read).toBe(2),
  )

  expect(lines.map(({ seq }) => seq)).toEqual([4, 3, 2, 1])
  await database.close()
  await places.close()
})
