import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import type { Fact } from '#core/journal.ts'
import type { AuditRow, LedgerRow } from '#core/ledger.ts'
import type { Head } from '#core/upkeep.ts'
import { createAudit } from '#events/audit.ts'
import { createChain, sealOf, textOfRow } from '#events/chain.ts'
import { verifyAudit } from '#events/verify.ts'
import { startUpkeep } from '#gateway/ledger/upkeep.ts'
import { sha256 } from '#lib/hash.ts'
import { createIds } from '#lib/id.ts'
import { createSqlAuditSource, createSqlUpkeep } from '#stores/sql-audit.ts'
import { createSqlLedger } from '#stores/sql-ledger.ts'
import { openAt } from '#tests/contract/database.ts'
import { rowOf } from '#tests/contract/ledger.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { sqlitePlaces } from '#tests/support/databases.ts'
import { recordOf } from '#tests/support/records.ts'

/** An audit log in memory. */
function logOf(redact = (text: string) => text) {
  const rows: AuditRow[] = []
  const clock = fakeClock()
  const newId = createIds()
  let room = true
  const keep = (row: AuditRow) => {
    if (room) rows.push(row)
    return room
  }
  const chain = createChain('chain-1', { newId, keep })
  const audit = createAudit({ clock, chain, newId, redact, enabled: () => true })
  const settle = (more: Parameters<typeof recordOf>[0]) =>
    audit.subscriber({ type: 'request-settled', record: recordOf(more) })
  return { rows, clock, chain, audit, settle, fill: (full: boolean) => (room = !full) }
}

const failing = (code: ConstructorParameters<typeof GatewayError>[0], cause?: unknown) => ({
  code,
  error: new GatewayError(code, 'It failed.', { cause }),
})

describe('the audit log', () => {
  test('gives rows of one moment ids in their order, by which they are listed', () => {
    const { rows, audit } = logOf()

    for (let n = 0; n < 20; n++) audit.subscriber({ type: 'config-reloaded', ok: true, message: `${n}` })

    const listed = rows.toSorted((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1))
    expect(new Set(rows.map(({ at }) => at)).size).toBe(1)
    expect(listed.map(({ seq }) => seq)).toEqual(rows.map(({ seq }) => seq).toReversed())
  })

  test('records an accepted key once a minute, and a refused one each time', () => {
    const { rows, clock, settle } = logOf()
    for (let call = 0; call < 3; call++) settle({})
    settle({ caller: 'other' })
    for (let call = 0; call < 3; call++) settle({ caller: null, tenant: null, ...failing('invalid_api_key') })
    clock.advance(60_000)
    settle({})

    expect(rows.map(({ actor, outcome }) => `${actor} ${outcome}`)).toEqual([
      'web ok',
      'other ok',
      'null refused',
      'null refused',
      'null refused',
      'web ok',
    ])
  })

  test('records once a configuration that several processes reload', () => {
    const { rows, audit } = logOf()
    for (const heard of [false, true, true])
      audit.subscriber({ type: 'config-reloaded', ok: true, message: 'taken over', heard })

    expect(rows).toHaveLength(1)
  })

  test('records once what one worker has seen of a server, and the others have heard', () => {
    const { rows, audit } = logOf()
    const change = { type: 'health-changed', server: 'a', from: 'healthy', to: 'unhealthy', reason: 'refused' } as const
    audit.subscriber(change)
    audit.subscriber({ ...change, heard: true })

    expect(rows).toHaveLength(1)
  })

  const told: readonly (readonly [Fact, string, object?])[] = [
    [
      { type: 'administered', action: 'key-revoked', subject: 'k', tenant: 'shop', by: 'ops' },
      'administration key-revoked ok k ops shop',
    ],
    [
      { type: 'config-reloaded', ok: false, message: 'line 3' },
      'administration config-reloaded failed null null default',
      { message: 'line 3' },
    ],
    [
      { type: 'server-registered', server: 'b', address: 'http://b', by: 'ops' },
      'administration server-registered ok b ops default',
      { address: 'http://b' },
    ],
    [{ type: 'server-drained', server: 'b', by: 'ops' }, 'administration server-drained ok b ops default'],
    [{ type: 'server-recovered', server: 'b', by: 'ops' }, 'administration server-recovered ok b ops default'],
    [
      { type: 'server-departed', server: 'b', reason: 'removed', by: 'ops' },
      'administration server-departed removed b ops default',
    ],
    [
      { type: 'server-departed', server: 'b', reason: 'silent', by: null },
      'health server-departed silent b null default',
    ],
    [
      { type: 'webhook-received', webhook: 'deploy', ok: true },
      'administration webhook-received ok deploy null default',
    ],
    [
      { type: 'health-changed', server: 'b', from: 'healthy', to: 'unhealthy', reason: 'refused' },
      'health health-changed unhealthy b null default',
      { from: 'healthy', reason: 'refused' },
    ],
    [
      { type: 'breaker-opened', server: 'b', model: 'm', reason: 'upstream_error', ms: 60_000 },
      'health breaker-opened open b/m null default',
      { reason: 'upstream_error', ms: 60_000 },
    ],
    [{ type: 'breaker-closed', server: 'b', model: 'm' }, 'health breaker-closed closed b/m null default'],
    [
      { type: 'credential-refused', server: 'b', model: 'm', left: 1 },
      'health credential-refused refused b/m null default',
      { left: 1 },
    ],
    [
      { type: 'dependency-changed', dependency: 'redis', available: false, reason: 'refused' },
      'health dependency-changed away redis null default',
      { reason: 'refused' },
    ],
  ]

  test.each(told)('records %j', (fact, said, detail = {}) => {
    const { rows, audit } = logOf()
    audit.subscriber(fact)

    const [row, ...more] = rows
    expect(`${row?.kind} ${row?.action} ${row?.outcome} ${row?.subject} ${row?.actor} ${row?.tenant}`).toBe(said)
    expect(JSON.parse(row?.detail ?? '')).toEqual(detail)
    expect(more).toEqual([])
  })

  test.each([
    ['missing_api_key', 'call', 'authentication request refused'],
    ['invalid_signature', 'call', 'authentication request refused'],
    ['model_not_allowed', 'call', 'authentication access refused'],
    ['client_not_allowed', 'call', 'authentication access refused'],
    ['budget_exceeded', 'call', 'limit request refused'],
    ['queue_full', 'call', 'limit request refused'],
    ['provider_rate_limited', 'call', 'error request interrupted'],
    ['internal_error', 'call', 'error request interrupted'],
    ['invalid_request', 'administration', 'administration request refused'],
    ['invalid_request', 'call', null],
  ] as const)('records a request that ended with %s (%s) as %p', (code, purpose, said) => {
    const { rows, settle } = logOf()
    settle({ caller: 'anonymous', purpose, outcome: 'interrupted', ...failing(code) })

    const all = rows.map(({ kind, action, outcome }) => `${kind} ${action} ${outcome}`)
    expect(all).toEqual(said === null ? [] : [said])
  })

  test('records neither a refused webhook twice nor what is no event of the log', () => {
    const { rows, audit } = logOf()
    audit.subscriber({ type: 'webhook-received', webhook: 'deploy', ok: false })
    audit.subscriber({ type: 'stream-opened' })

    expect(rows).toEqual([])
  })

  test('records neither errors of callers nor calls that succeed', () => {
    const { rows, settle } = logOf()
    settle({})
    settle({ ...failing('invalid_request') })
    settle({ ...failing('client_closed_request') })

    expect(rows.map(({ kind }) => kind)).toEqual(['authentication'])
  })

  test('removes secrets, the configured ones and what looks like one', () => {
    const { rows, settle } = logOf(text => text.replaceAll('hunter2-hunter2', '[redacted]'))
    settle({ ...failing('upstream_error', 'postgres://me:pa55word@db and hunter2-hunter2, Bearer abcdefghijkl') })

    expect(rows.at(-1)?.detail).toContain('postgres://me:[redacted]@db and [redacted], Bearer [redacted]')
  })

  test('removes secrets from what was acted on, too', () => {
    const { rows, audit } = logOf(text => text.replaceAll('hunter2-hunter2', '[redacted]'))
    const subject = '{"key":"hunter2-hunter2"}'
    audit.subscriber({ type: 'administered', action: 'cache-cleared', subject, tenant: 'default', by: 'admin' })

    expect(rows.at(-1)?.subject).toBe('{"key":"[redacted]"}')
  })

  test('has no gap in its chain after a row found no room', () => {
    const { rows, settle, fill } = logOf()
    settle({ ...failing('upstream_error') })
    fill(true)
    settle({ ...failing('upstream_error') })
    fill(false)
    settle({ ...failing('upstream_error') })

    expect(rows.map(({ seq }) => seq)).toEqual([1, 2, 3])
    expect(rows.map(({ prev }) => prev).slice(1)).toEqual(rows.map(({ hash }) => hash).slice(0, -1))
  })

  test('seals requests when there are two hundred, or after a second', () => {
    const { rows, clock, audit } = logOf()
    const add = (count: number) => {
      for (let request = 0; request < count; request++) {
        audit.sealing.add(`${audit.sealing.batch()}-${request}`, '{}')
      }
    }
    add(250)
    clock.advance(1000)

    const seals = rows.filter(({ kind }) => kind === 'batch').map(({ detail }) => JSON.parse(detail).rows)

    expect(seals).toEqual([200, 50])
  })
})

describe('a check of the audit log', () => {
  const at = Date.UTC(2026, 0, 1)
  const nobody = { actor: null, address: null, request_id: null, subject: null, code: null }
  const anEntry = { ...nobody, tenant: 'default', at, outcome: 'ok' }

  /** A database with a chain of ten rows, one of which seals five requests, and with a checkpoint of another chain. */
  async function withDatabase(
    run: (tools: {
      check(): ReturnType<typeof verifyAudit>
      spoil(statement: string): Promise<unknown>
      database: ReturnType<typeof openAt>
    }) => Promise<void>,
  ): Promise<void> {
    const places = await sqlitePlaces()
    const database = openAt(await places.place())
    const ledger = createSqlLedger(database)
    const audit: AuditRow[] = []
    const requests: LedgerRow[] = []
    const newId = createIds()
    const keep = (row: AuditRow) => audit.push(row) > 0
    const chain = createChain('a-chain', { newId, keep })
    const log = createAudit({ clock: fakeClock(at), chain, newId, redact: text => text, enabled: () => true })
    for (let row = 0; row < 8; row++) {
      log.subscriber({ type: 'config-reloaded', ok: true, message: `the ${row}th — ü` })
    }
    for (let request = 0; request < 5; request++) {
      const row = rowOf(`request-${request}`, 7, { batch: log.sealing.batch(), queue_ms: 0.1 * request })
      requests.push(row)
      log.sealing.add(row.id, textOfRow(row))
    }
    log.sealing.seal()
    const other = createChain('b-chain', { newId, keep })
    const heads = [{ chain: 'a-chain', seq: 9, hash: audit.at(-1)?.hash ?? '' }]
    other.add(log.checkpoint('heads', { heads }))
    await ledger.write({ requests, audit })
    try {
      await run({
        database,
        check: () => verifyAudit(createSqlAuditSource(database)),
        spoil: statement => database.write(sql => sql.unsafe(statement)),
      })
    } finally {
      await database.close()
      await places.close()
    }
  }

  test('reports nothing when nothing was changed', () =>
    withDatabase(async ({ check }) => {
      expect(await check()).toEqual({ chains: 2, rows: 10, requests: 5, unsealed: 0, problems: [] })
    }))

  test('accepts what an earlier version has sealed', () =>
    withDatabase(async ({ check, database }) => {
      // As it was written then: whoever gives the row another member must leave it out of rows that have none of it.
      const sealed =
        '{"id":"sealed","parent":null,"tenant":"shop","key_id":"web","user_id":null,"session_id":null,' +
        '"address":"203.0.113.7","day":"2026-01-01","started_at":1767225600000,"ended_at":1767225600051,' +
        '"method":"POST","route":"/v1/chat/completions","status":200,"code":null,"outcome":"ok","stream":0,' +
        '"cache":null,"model":"chat","server":"llm","upstream_model":"mixtral","attempts":1,"attempt_list":"[]",' +
        '"recovered":0,"queue_ms":0.5,"first_token_ms":null,"input_tokens":12,"cache_read_tokens":0,' +
        '"cache_write_tokens":0,"output_tokens":34,"reasoning_tokens":0,"estimated":0,"saved_tokens":0,' +
        '"cost_nano":null,"extra_cost_nano":0,"saved_nano":0,"batch":"its-seal"}'
      const audit: AuditRow[] = []
      const chain = createChain('early-chain', { newId: createIds(), keep: row => audit.push(row) > 0 })
      const seal = { rows: 1, hash: sealOf([{ id: 'sealed', hash: sha256(sealed) }]) }
      chain.add({ ...anEntry, kind: 'batch', action: 'sealed', detail: JSON.stringify(seal) }, 'its-seal')
      await database.write(sql => sql`INSERT INTO requests ${sql([JSON.parse(sealed)])}`)
      await database.write(sql => sql`INSERT INTO audit ${sql(audit)}`)

      expect(await check()).toMatchObject({ requests: 6, unsealed: 0, problems: [] })
    }))

  test.each([
    ['a changed row', "UPDATE audit SET outcome = 'failed' WHERE seq = 3", /row 3 of chain a-chain was changed/],
    ['a removed row', "DELETE FROM audit WHERE seq = 3 AND chain = 'a-chain'", /1 rows before row 4 of chain a-chain/],
    [
      'removed first rows',
      "DELETE FROM audit WHERE seq < 3 AND chain = 'a-chain'",
      /rows before row 3 of chain a-chain/,
    ],
    ['removed last rows', "DELETE FROM audit WHERE seq > 6 AND chain = 'a-chain'", /rows up to 9 of chain a-chain/],
    ['a whole chain that is gone', "DELETE FROM audit WHERE chain = 'a-chain'", /rows up to 9 of chain a-chain/],
    [
      'rows that were put elsewhere',
      "UPDATE audit SET seq = CASE seq WHEN 3 THEN 103 WHEN 4 THEN 3 ELSE seq END WHERE chain = 'a-chain'",
      /row 3 of chain a-chain was changed/,
    ],
    [
      'a changed request',
      "UPDATE requests SET cost_nano = 1 WHERE id = 'request-2'",
      /a request of batch .* was changed/,
    ],
    ['a removed request', "DELETE FROM requests WHERE id = 'request-2'", /has 4 of 5 requests/],
    [
      'a seal that says nothing',
      "UPDATE audit SET detail = 'x' WHERE kind = 'batch'",
      /row 9 of chain a-chain was changed/,
    ],
    [
      'a checkpoint that says nothing',
      "UPDATE audit SET detail = 'x' WHERE kind = 'checkpoint'",
      /row 1 of chain b-chain was changed/,
    ],
    [
      'an added request',
      `CREATE TABLE added AS SELECT * FROM requests WHERE id = 'request-2';
       UPDATE added SET id = 'request-6';
       INSERT INTO requests SELECT * FROM added`,
      /has 6 of 5 requests/,
    ],
    ['a request moved to another key', "UPDATE requests SET key_id = 'x' WHERE id = 'request-2'", /was changed/],
  ])('finds %s', (_, statement, problem) =>
    withDatabase(async ({ check, spoil }) => {
      await spoil(statement)

      expect((await check()).problems.join('\n')).toMatch(problem)
    }),
  )

  /** A process that started earlier, or later, and writes checkpoints. */
  function leaderOf(id: string, database: ReturnType<typeof openAt>) {
    const rows: AuditRow[] = []
    const newId = createIds()
    const chain = createChain(id, { newId, keep: row => rows.push(row) > 0 })
    const log = createAudit({ clock: fakeClock(at), chain, newId, redact: text => text, enabled: () => true })
    return async (action: 'heads' | 'trimmed', heads: readonly Head[]) => {
      chain.add(log.checkpoint(action, { heads }))
      await createSqlLedger(database).write({ requests: [], audit: rows.splice(0) })
    }
  }

  async function headAt(database: ReturnType<typeof openAt>, seq: number): Promise<Head> {
    const rows: { hash: string }[] = await database.read(
      sql => sql`SELECT hash FROM audit WHERE chain = 'a-chain' AND seq = ${seq}`,
    )
    return { chain: 'a-chain', seq, hash: rows[0]?.hash ?? '' }
  }

  test('accepts a removal in several steps, whichever process recorded the last one', () =>
    withDatabase(async ({ check, database }) => {
      const [earlier, later] = [leaderOf('d-chain', database), leaderOf('e-chain', database)]
      for (const [note, seq] of [
        [later, 3],
        [earlier, 6],
      ] as const) {
        const head = await headAt(database, seq)
        await note('trimmed', [head])
        await createSqlUpkeep(database).trim([head], 0, '')
      }

      expect((await check()).problems).toEqual([])
    }))

  test('accepts a removal that is not finished', () =>
    withDatabase(async ({ check, spoil, database }) => {
      await leaderOf('d-chain', database)('trimmed', [await headAt(database, 6)])
      await spoil("DELETE FROM audit WHERE chain = 'a-chain' AND seq <= 4")
      const half = await check()
      await spoil("DELETE FROM audit WHERE chain = 'a-chain' AND seq <= 7")

      expect(half.problems).toEqual([])
      expect((await check()).problems).toEqual([
        expect.stringMatching(/rows before row 8 of chain a-chain are missing/),
      ])
    }))

  test('does not report rows as missing that were written during the check', () =>
    withDatabase(async ({ database }) => {
      const source = createSqlAuditSource(database)
      const note = leaderOf('d-chain', database)
      let told = false
      const found = await verifyAudit({
        ...source,
        async rows(after) {
          const rows = await source.rows(after, 1)
          if (rows[0]?.chain === 'b-chain' && !told) {
            told = true
            await database.write(
              sql => sql`INSERT INTO audit SELECT 'later', tenant, at, kind, action, actor, address, request_id, subject,
                outcome, code, detail, chain, 10, hash, hash FROM audit WHERE chain = 'a-chain' AND seq = 8`,
            )
            await note('heads', [await headAt(database, 10)])
          }
          return rows
        },
      })

      expect([told, found.problems]).toEqual([true, []])
    }))

  test.each([
    ['begins', '', 6, 'd-chain'],
    ['is read', 'a-chain 3', 6, 'd-chain'],
    ['is read, as a chain says that was read before', 'a-chain 3', 6, '0-chain'],
    ['is read, all of it', 'a-chain 3', 9, 'd-chain'],
  ])('accepts what is removed while a chain %s', (_, when, upTo, leader) =>
    withDatabase(async ({ database }) => {
      const source = createSqlAuditSource(database)
      const note = leaderOf(leader, database)
      await note('heads', [await headAt(database, 9)])
      const head = await headAt(database, upTo)
      let trimmed = false
      const found = await verifyAudit({
        ...source,
        async rows(after) {
          if (!trimmed && when === (after === null ? '' : `${after.chain} ${after.seq}`)) {
            trimmed = true
            await note('trimmed', [head])
            await createSqlUpkeep(database).trim([head], 0, '')
          }
          return source.rows(after, 1)
        },
      })

      expect([trimmed, found.problems]).toEqual([true, []])
    }),
  )

  test('reports rows that are removed during the check without a record in a chain', () =>
    withDatabase(async ({ database }) => {
      const source = createSqlAuditSource(database)
      const head = await headAt(database, 6)
      const found = await verifyAudit({
        ...source,
        async rows(after) {
          if (after?.seq === 3) await createSqlUpkeep(database).trim([head], 0, '')
          return source.rows(after, 1)
        },
      })

      expect(found.problems).toEqual(['3 rows before row 7 of chain a-chain are missing'])
    }))

  test('accepts rows that expired, and whose removal is recorded in the log', () =>
    withDatabase(async ({ check, database }) => {
      const clock = fakeClock(at + 1000)
      const budget = (period: string) => ({ account: 'key:shop/web', tenant: 'shop', period, spent: 1, held: 0 })
      const periods = ['2025-11', '2025-11-30', '2025-12', '2025-12-01', '2026-01', '2026-01-01']
      await database.write(sql => sql`INSERT INTO budgets ${sql(periods.map(budget))}`)
      const rows: AuditRow[] = []
      const ledger = createSqlLedger(database, true)
      const newId = createIds()
      const chain = createChain('c-chain', { newId, keep: row => rows.push(row) > 0 })
      const log = createAudit({ clock, chain, newId, redact: text => text, enabled: () => true })
      let flushed = 0
      const stop = startUpkeep({
        clock,
        owner: 'c-chain',
        ledger,
        upkeep: createSqlUpkeep(database),
        steadyMs: 0,
        retentionMs: () => 10,
        checkpoint: (action, heads) => chain.add(log.checkpoint(action, { heads })),
        flush: async () => {
          await ledger.write({ requests: [], audit: rows.splice(0) })
          flushed++
        },
      })
      // Until its clock is believed.
      for (const ms of [1, 600_000, 60_000]) {
        clock.advance(ms)
        for (let look = 0; look < 200 && clock.pending === 0; look++) await settled()
      }
      const left = () => database.read(sql => sql`SELECT period FROM budgets`)
      // They go last.
      for (let look = 0; look < 200 && (flushed === 0 || (await left()).length > 4); look++) await settled()
      stop()

      const found = await check()

      // What it said of the chains at each of three looks, and that they were trimmed.
      expect(found).toMatchObject({ rows: 4, requests: 0, problems: [] })
      expect(await database.read(sql => sql`SELECT id FROM requests`)).toHaveLength(0)
      // Those of the months before the last day are over, and every batch would look through them.
      expect(await database.read(sql => sql`SELECT period FROM budgets ORDER BY period`)).toEqual(
        expect.arrayContaining(periods.slice(2).map(period => ({ period }))),
      )
      expect(await left()).toHaveLength(4)
    }))
})
