import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { type Account, type LedgerRow, OVER } from '#core/ledger.ts'
import { createIds } from '#lib/id.ts'
import { createMemoryLedger } from '#stores/memory-ledger.ts'
import { createSqlLedger } from '#stores/sql-ledger.ts'
import { createSqlReports } from '#stores/sql-reports.ts'
import { openAt } from '#tests/contract/database.ts'
import { ledgerContract, rowOf } from '#tests/contract/ledger.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'
import { countTurns } from '#tests/support/turns.ts'
import { until } from '#tests/support/until.ts'

setDefaultTimeout(60_000)

ledgerContract('the ledger in memory', async () => ({ store: createMemoryLedger(), close: async () => {} }))
for (const [name, open] of [
  ['the ledger in SQLite', sqlitePlaces],
  ['the ledger in Postgres', postgresPlaces],
] as const) {
  ledgerContract(name, async () => {
    const places = await open()
    const database = openAt(await places.place())
    return {
      store: createSqlLedger(database, open === sqlitePlaces),
      async close() {
        await database.close()
        await places.close()
      },
    }
  })
}

test('an account that is opened late begins with what the ledger has charged', async () => {
  const places = await sqlitePlaces()
  const database = openAt(await places.place())
  const store = createSqlLedger(database)
  const month: Account = { id: 'key:shop/web', tenant: 'shop', period: '2026-01', cap: 1000, resetsAt: 0 }
  await store.write({
    requests: [
      rowOf('before', 5, { day: '2025-12-31' }),
      rowOf('first', 30),
      rowOf('second', 40, { day: '2026-01-31' }),
      rowOf('other', 50, { key_id: 'other' }),
    ],
    audit: [],
  })

  const { used } = await store.hold({ request: 'a', accounts: [month], nano: 1, expiresAt: 10 })
  const day = await store.hold({
    request: 'b',
    accounts: [{ ...month, id: 'tenant:shop', period: '2026-01-01' }],
    nano: 1,
    expiresAt: 10,
  })

  expect([used, day.used]).toEqual([[71], [81]])
  await database.close()
  await places.close()
})

test.each([
  ['SQLite', sqlitePlaces, true],
  ['Postgres', postgresPlaces, false],
] as const)('an account of a tenant with many requests is opened once, in %s', async (_, open, inProcess) => {
  const places = await open()
  const database = openAt(await places.place())
  const store = createSqlLedger(database, inProcess)
  const newId = createIds()
  const [before, first, last] = [Date.UTC(2025, 11, 31), Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 31, 23)]
  const row = (time: number, day: string, more: Partial<LedgerRow> = {}) => rowOf(newId(time), 1, { day, ...more })
  const requests = [
    ...Array.from({ length: 30_000 }, (_, n) => row(first + n, '2026-01-01')),
    ...Array.from({ length: 30_000 }, (_, n) => row(last + n, '2026-01-31')),
    ...[row(before, '2025-12-31'), row(first, '2026-01-01', { tenant: 'other' }), row(last + 86_400_000, '2026-02-01')],
  ]
  for (let at = 0; at < requests.length; at += 500) {
    const rows = requests.slice(at, at + 500)
    await database.write(sql => sql`INSERT INTO requests ${sql(rows)}`)
  }
  const [month, key] = [
    { id: 'tenant:shop', tenant: 'shop', period: '2026-01', cap: 1000, resetsAt: 0 },
    { id: 'key:shop/web', tenant: 'shop', period: '2026-01-31', cap: 1000, resetsAt: 0 },
  ]
  const stop = countTurns()

  const took: number[] = []
  const ask = async () => {
    const since = performance.now()
    const { spent } = await store.balance([month, key])
    took.push(performance.now() - since)
    return spent.map(({ nano }) => nano)
  }
  const opened = await ask()
  const turns = stop()
  const again = [await ask(), await ask(), await ask()]
  const [opening = 0, ...asking] = took

  expect(opened).toEqual([60_000, 30_000])
  expect(again).toEqual([opened, opened, opened])
  expect(Math.min(...asking)).toBeLessThan(opening / 3)
  // Others have their turn between pages; Postgres does it elsewhere.
  expect(turns).toBeGreaterThan(2)
  await database.close()
  await places.close()
})

test.each([
  ['SQLite', sqlitePlaces],
  ['Postgres', postgresPlaces],
] as const)('users and sessions are counted once for each request, in %s', async (_, open) => {
  const places = await open()
  const database = openAt(await places.place())
  const [store, reports] = [createSqlLedger(database), createSqlReports(database, { inProcess: false })]
  const long = 'ü'.repeat(2000)
  const tokens = {
    input_tokens: 5,
    cache_read_tokens: 3,
    cache_write_tokens: 2,
    output_tokens: 10,
    reasoning_tokens: 4,
  }
  const row = (id: string, started_at: number, more: Partial<LedgerRow> = {}) =>
    rowOf(id, 1, { started_at, ...tokens, user_id: 'ann', session_id: null, ...more })
  const attempt = row('b.1', 200, { parent: 'b' })
  await store.write({ requests: [row('b', 200), attempt, row('c', 300, { session_id: 'talk' })], audit: [] })
  await store.write({ requests: [row('a', 100), row('b', 200), row('d', 400, { key_id: 'other' })], audit: [] })
  await store.write({ requests: [row('e', 500, { user_id: long, session_id: long })], audit: [] })

  const query = { tenant: 'shop', key: null, after: null, limit: 10 }
  const talkedLast = { tenant: 'shop', key: 'web', id: long.slice(0, 256), lastSeen: 500 }
  const users = await reports.named({ ...query, of: 'users' })
  const sessions = await reports.named({ ...query, of: 'sessions', after: talkedLast })
  const elsewhere = await reports.named({ ...query, of: 'users', tenant: 'lab' })

  const ann = { tenant: 'shop', id: 'ann' }
  expect(users.map(({ id }) => id)).toEqual([long.slice(0, 256), 'ann', 'ann'])
  expect(users.slice(1)).toEqual([
    { ...ann, key: 'other', firstSeen: 400, lastSeen: 400, requests: 1, tokens: 20 },
    { ...ann, key: 'web', firstSeen: 100, lastSeen: 300, requests: 3, tokens: 60 },
  ])
  const talk = { tenant: 'shop', key: 'web', id: 'talk' }
  expect(sessions).toEqual([{ ...talk, firstSeen: 300, lastSeen: 300, requests: 1, tokens: 20 }])
  expect(elsewhere).toEqual([])
  await database.close()
  await places.close()
})

test('a failing database is asked once; this is neither a refusal nor repeated', async () => {
  let asked = 0
  const fails = () => {
    asked++
    return Promise.reject(new Error('out of order'))
  }
  const store = createSqlLedger({ read: fails, write: fails, close: async () => {} })
  const account: Account = { id: 'key:shop/web', tenant: 'shop', period: '2026-01', cap: 1000, resetsAt: 0 }

  const ends = await Promise.allSettled([
    store.hold({ request: 'a', accounts: [account], nano: 1, expiresAt: 10 }),
    store.write({ requests: [rowOf('a', 1)], audit: [] }),
  ])

  expect(ends.map(end => end.status === 'rejected' && end.reason.message)).toEqual(['out of order', 'out of order'])
  expect(asked).toBe(2)
})

test('two processes that open an account at the same time both get its balance', async () => {
  const places = await postgresPlaces()
  const place = await places.place()
  const databases = [openAt(place), openAt(place)]
  const stores = databases.map(database => createSqlLedger(database))
  await Promise.all(stores.map(store => store.holds()))

  const refused: unknown[] = []
  for (let round = 0; round < 50; round++) {
    const account: Account = { id: `key:shop/web-${round}`, tenant: 'shop', period: '2026-01', cap: 1000, resetsAt: 0 }
    const holds = stores.map((store, process) =>
      store.hold({ request: `r${round}-${process}`, accounts: [account], nano: 1, expiresAt: 10 }),
    )
    for (const verdict of await Promise.all(holds)) if (verdict.refused !== null) refused.push(verdict)
  }

  expect(refused).toEqual([])
  for (const database of databases) await database.close()
  await places.close()
})

describe('in any order of holds, rows and expiry', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('hold' as const), request: fc.nat(6), nano: fc.nat(400) }),
    fc.record({ kind: fc.constant('settle' as const), request: fc.nat(6), nano: fc.nat(400) }),
    fc.record({ kind: fc.constant('expire' as const), at: fc.nat(100) }),
  )
  const one: Account = { id: 'key:shop/web', tenant: 'shop', period: '2026-01', cap: 1000, resetsAt: 0 }

  test('the used amount is the sum of what was charged and what is held', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
        const store = createMemoryLedger()
        const held = new Map<number, number>()
        const settled = new Set<number>()
        let spent = 0
        for (const each of steps) {
          if (each.kind === 'expire') {
            await store.expire(each.at)
            if (each.at >= 50) held.clear()
          } else if (each.kind === 'hold') {
            const before = spent + [...held.values()].reduce((sum, nano) => sum + nano, 0)
            const hold = { request: `r${each.request}`, accounts: [one], nano: each.nano, expiresAt: 50 }
            const { refused } = await store.hold(hold)
            expect(refused === null).toBe(before + each.nano <= one.cap)
            if (refused === null) held.set(each.request, (held.get(each.request) ?? 0) + each.nano)
          } else {
            const isNew = !settled.has(each.request)
            await store.hold({ request: 'open', accounts: [one], nano: 0, expiresAt: 50 })
            await store.write({ requests: [rowOf(`r${each.request}`, each.nano)], audit: [] })
            if (isNew) {
              spent += each.nano
              held.delete(each.request)
            }
            settled.add(each.request)
          }
        }
        const { used } = await store.hold({ request: 'last', accounts: [one], nano: 0, expiresAt: 50 })
        const expected = spent + [...held.values()].reduce((sum, nano) => sum + nano, 0)
        expect(used).toEqual([expected])
      }),
    )
  })
})

test('a process whose clock is ahead does not give back the holds of others in Postgres', async () => {
  const places = await postgresPlaces()
  const database = openAt(await places.place())
  const store = createSqlLedger(database)
  const [now, accounts] = [
    Date.now(),
    [{ id: 'key:shop/a', tenant: 'shop', period: '2026-01', cap: 1000, resetsAt: 0 }],
  ]
  await store.hold({ request: 'under way', accounts, nano: 300, expiresAt: now + 600_000 })
  await store.hold({ request: 'let go', accounts, nano: 500, expiresAt: OVER })

  expect([await store.expire(now + 86_400_000), await store.holds()]).toEqual([1, 1])
  await database.close()
  await places.close()
})

test('writing rows and holding money never wait for each other in Postgres', async () => {
  const places = await postgresPlaces()
  const place = await places.place()
  const [database, other] = [openAt(place), openAt(place)]
  const store = createSqlLedger(database)
  const accounts = ['key:shop/a', 'key:shop/b', 'tenant:shop'].map(
    (id): Account => ({ id, tenant: 'shop', period: '2026-01', cap: 1000, resetsAt: 0 }),
  )
  const [a, b, tenant] = accounts
  if (a === undefined || b === undefined || tenant === undefined) throw new Error('no accounts')
  await store.hold({ request: 'opens', accounts: [a, tenant], nano: 0, expiresAt: 1e15 })
  await store.hold({ request: 'of b', accounts: [b, tenant], nano: 10, expiresAt: 1e15 })
  const waits = async () => {
    const rows: { waits: bigint }[] = await database.read(
      sql => sql`SELECT COUNT(*) AS waits FROM pg_locks WHERE NOT granted`,
    )
    return Number(rows[0]?.waits ?? 0)
  }
  let written: unknown

  // Somebody takes from `a` and then from the tenant, while a batch settles a hold of `b` and charges `a`.
  await other.write(async sql => {
    await sql`UPDATE budgets SET held = held + 5 WHERE account = ${a.id}`
    const requests = [rowOf('of b', 1, { key_id: 'b' }), rowOf('of a', 2, { key_id: 'a' })]
    written = Promise.resolve(store.write({ requests, audit: [] })).then(() => 'written', String)
    await until('the batch waits', 10_000, async () => (await waits()) > 0)
    await sql`UPDATE budgets SET held = held + 5 WHERE account = ${tenant.id}`
  })

  expect(await written).toBe('written')
  const { used } = await store.hold({ request: 'probe', accounts, nano: 0, expiresAt: 1e15 })
  expect(used).toEqual([7, 1, 8])
  await other.close()
  await database.close()
  await places.close()
})
