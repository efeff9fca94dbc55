import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import { existsSync, statSync } from 'node:fs'
import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { SQL } from 'bun'
import { type DatabaseCall, type DatabasePlace, openSql } from '#stores/sql.ts'
import { migrateSql, migrationsOf } from '#stores/sql-client.ts'
import { readMigrations } from '#stores/sql-migrations.ts'
import { databaseContract, openAt } from '#tests/contract/database.ts'
import { postgresPlaces, sqlitePlaces } from '#tests/support/databases.ts'
import { startPostgres } from '#tests/support/postgres.ts'
import { startTcpProxy } from '#tests/support/tcp-proxy.ts'
import { until } from '#tests/support/until.ts'

databaseContract('a SQLite file', sqlitePlaces)
databaseContract('Postgres', postgresPlaces)

/** Runs a test with a SQLite file that is not made yet. */
async function withFile(run: (place: DatabasePlace & { readonly file: string }) => Promise<void>): Promise<void> {
  const places = await sqlitePlaces()
  try {
    const place = await places.place()
    if (place.kind === 'sqlite' && place.file !== null) await run({ ...place, file: place.file })
  } finally {
    await places.close()
  }
}

describe('a SQLite file', () => {
  test('is created by the first write, not by reading', () =>
    withFile(async place => {
      const database = openAt(place)
      const before = await database.read(sql => sql`SELECT id FROM keys`)
      const made = existsSync(place.file)
      await database.write(sql => sql`UPDATE versions SET version = 7 WHERE subject = 'keys'`)

      const rows = await database.read(sql => sql`SELECT version FROM versions WHERE subject = 'keys'`)

      expect([before.length, made, existsSync(place.file)]).toEqual([0, false, true])
      expect([...rows]).toEqual([{ version: 7n }])
      await database.close()
    }))

  test('is created for its owner only, also in a folder that others may read; the mode of an existing file stays', () =>
    withFile(async place => {
      await mkdir(dirname(place.file), { recursive: true })
      await chmod(dirname(place.file), 0o755)
      const modes = () => ['', '-wal', '-shm'].map(end => statSync(`${place.file}${end}`).mode & 0o777)
      const database = openAt(place)
      await database.write(sql => sql`UPDATE versions SET version = 7 WHERE subject = 'keys'`)
      const made = modes()
      await database.close()
      await chmod(place.file, 0o640)

      const again = openAt(place)
      const rows = await again.read(sql => sql`SELECT version FROM versions WHERE subject = 'keys'`)

      expect(made).toEqual([0o600, 0o600, 0o600])
      expect([[...rows], modes()]).toEqual([[{ version: 7n }], [0o640, 0o640, 0o640]])
      await again.close()
    }))

  test('that another process writes to is waited for, without blocking anything else', () =>
    withFile(async place => {
      const [one, two] = [openAt(place), openAt(place)]
      await one.write(async () => {})
      const may = Promise.withResolvers<void>()
      const holding = one.write(() => may.promise)
      let turns = 0
      const ticking = setInterval(() => turns++, 1)

      const waiting = two.write(sql => sql`UPDATE versions SET version = version + 1 RETURNING version`)
      while (turns < 20) await Bun.sleep(1)
      may.resolve()
      await holding

      expect((await waiting)[0]).toEqual({ version: 1n })
      clearInterval(ticking)
      await Promise.all([one.close(), two.close()])
    }))

  test('that another process keeps locked is given up after the timeout', () =>
    withFile(async place => {
      const [one, two] = [openAt(place), openAt(place, 50)]
      await one.write(async () => {})
      const may = Promise.withResolvers<void>()
      const holding = one.write(() => may.promise)

      await expect(two.write(sql => sql`UPDATE versions SET version = 9`)).rejects.toThrow('within 50 ms')
      may.resolve()
      await holding

      expect((await one.read(sql => sql`SELECT version FROM versions`))[0]).toEqual({ version: 0n })
      await Promise.all([one.close(), two.close()])
    }))

  test('that is not a database is an error, and the next call tries again', () =>
    withFile(async place => {
      await mkdir(dirname(place.file), { recursive: true })
      await writeFile(place.file, 'no database at all, but some text of a good length')
      const calls: DatabaseCall[] = []
      const database = openSql({ place, timeoutMs: 1000, pool: 1, onCall: call => calls.push(call) })

      await expect(database.read(sql => sql`SELECT id FROM keys`)).rejects.toThrow('not a database')
      await writeFile(place.file, '')

      expect(await database.read(async sql => (await sql`SELECT id FROM keys`).length)).toBe(0)
      expect(calls.map(({ operation, ok }) => [operation, ok])).toEqual([
        ['read', false],
        ['read', true],
      ])
      await database.close()
    }))

  test('that was removed counts as unavailable, neither empty nor new; a file put in its place is used', () =>
    withFile(async place => {
      const database = openAt(place)
      const read = () => database.read(async sql => [...(await sql`SELECT version FROM versions`)])
      const write = () => database.write(sql => sql`UPDATE versions SET version = 7`)
      await write()
      await rename(dirname(place.file), `${dirname(place.file)}-away`)
      const ends = await Promise.allSettled([read(), write(), read(), write()])
      const isMade = existsSync(place.file)

      await migrateSql({ place, timeoutMs: 1000, pool: 1 })
      await database.read(async () => {}).catch(() => {})

      expect(ends.map(({ status }) => status)).toEqual(Array(4).fill('rejected'))
      expect(isMade).toBe(false)
      expect(await read()).toContainEqual({ version: 0n })
      await database.close()
    }))

  test('that was replaced by another file is closed, and the new one used', () =>
    withFile(async place => {
      const other = { ...place, file: `${place.file}.other` }
      const [database, changed] = [openAt(place), openAt(other)]
      await database.write(sql => sql`UPDATE versions SET version = 7`)
      await changed.write(sql => sql`UPDATE versions SET version = 9`)
      await changed.close()

      for (const end of ['', '-wal', '-shm']) await rm(`${place.file}${end}`)
      await rename(other.file, place.file)
      await expect(database.write(sql => sql`UPDATE versions SET version = 8`)).rejects.toThrow('replaced')

      expect(await database.read(async sql => [...(await sql`SELECT version FROM versions`)])).toContainEqual({
        version: 9n,
      })
      await database.close()
    }))
})

describe('Postgres', () => {
  test('that accepts connections but does not answer is given up after the timeout', async () => {
    const silent = createServer(() => {})
    const listening = Promise.withResolvers<void>()
    silent.listen(0, '127.0.0.1', listening.resolve)
    await listening.promise
    const address = silent.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const database = openAt({ kind: 'postgres', url: `postgres://a@127.0.0.1:${port}/a` })
    const startedAt = performance.now()

    await expect(database.read(sql => sql`SELECT 1`, 100)).rejects.toThrow('within 100 ms')

    expect(performance.now() - startedAt).toBeLessThan(1000)
    await database.close()
    silent.close()
  })

  test('is the server in the address, whatever the environment variables say', async () => {
    await using postgres = await startPostgres()
    const url = await postgres.database()
    const asked = `import { openPostgres } from '#stores/sql-postgres.ts'
      const each = await openPostgres('${url}', { pool: 1, timeoutMs: 5000 })
      console.log((await each.read(sql => sql\`SELECT current_database() AS name\`))[0].name)
      await each.close()`

    const child = Bun.spawn([process.execPath, '-e', asked], {
      env: { PATH: process.env.PATH ?? '', PGDATABASE: 'postgres' },
      stderr: 'inherit',
    })

    expect((await new Response(child.stdout).text()).trim()).toBe(new URL(url).pathname.slice(1))
  }, 60_000)

  test('uses no prepared statements if the address says so, as poolers need it', async () => {
    await using postgres = await startPostgres()
    const url = await postgres.database()
    const prepared = async (address: string) => {
      const database = openSql({ place: { kind: 'postgres', url: address }, timeoutMs: 10_000, pool: 1 })
      const rows: { n: bigint }[] = await database.write(async sql => {
        await sql`UPDATE versions SET version = version + ${1} WHERE subject = ${'keys'}`
        return sql`SELECT COUNT(*) AS n FROM pg_prepared_statements`
      })
      await database.close()
      return Number(rows[0]?.n)
    }

    expect(await prepared(url)).toBeGreaterThan(0)
    expect(await prepared(`${url}?prepare=false`)).toBe(0)
  }, 60_000)

  test('that has become read-only is replaced by the server that the address now leads to', async () => {
    await using first = await startPostgres()
    await using next = await startPostgres()
    const [url, other] = [await first.database(), await next.database()]
    await using proxy = await startTcpProxy(Number(new URL(url).port))
    const database = openAt({ kind: 'postgres', url: url.replace(/:\d+\//, `:${proxy.port}/`) })
    const write = () => database.write(sql => sql`UPDATE versions SET version = version + 1 RETURNING version`)
    await write()

    proxy.turnTo(Number(new URL(other).port))
    const administrator = new SQL({ url, max: 1 })
    await administrator.unsafe('ALTER SYSTEM SET default_transaction_read_only = on')
    await administrator.unsafe('SELECT pg_reload_conf()')
    await administrator.close()
    let refusal: unknown = null
    for (const until = performance.now() + 10_000; refusal === null && performance.now() < until; ) {
      refusal = await write().then(
        () => null,
        thrown => thrown,
      )
    }

    expect(String(refusal)).toContain('read-only transaction')
    expect(await write()).toContainEqual({ version: 1n })
    await database.close()
  }, 60_000)

  test('with a locked table can still be read', async () => {
    await using postgres = await startPostgres()
    const url = await postgres.database()
    const database = openAt({ kind: 'postgres', url })
    const read = () => database.read(sql => sql`SELECT version FROM versions WHERE subject = 'keys'`, 3000)
    await read()
    const somebody = new SQL({ url, max: 1 })
    const writing: Promise<unknown>[] = []
    const found = await somebody.begin(async sql => {
      await sql`LOCK TABLE budgets IN ACCESS EXCLUSIVE MODE`
      for (let write = 0; write < 20; write++) {
        writing.push(database.write(sql => sql`UPDATE budgets SET held = held`))
      }
      return read().catch(thrown => thrown)
    })
    const written = await Promise.allSettled(writing)

    expect(found).toHaveLength(1)
    expect(written.filter(({ status }) => status === 'rejected')).toEqual([])
    await somebody.close()
    await database.close()
  }, 60_000)

  test('does not keep a call waiting for a lock after the call was given up', async () => {
    await using postgres = await startPostgres()
    const url = await postgres.database()
    const place = { kind: 'postgres', url } as const
    await migrateSql({ place, timeoutMs: 10_000, pool: 1 })
    const database = openAt(place, 1000)
    const [somebody, watcher] = [new SQL({ url, max: 1 }), new SQL({ url, max: 1 })]
    const waiting = (count: number) =>
      until(`${count} wait`, 10_000, async () => {
        const rows = await watcher`SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'`
        return rows.length === count || rows.length
      })
    const outcome = await somebody.begin(async sql => {
      await sql`LOCK TABLE budgets IN ACCESS EXCLUSIVE MODE`
      const writing = database.write(sql => sql`UPDATE budgets SET held = held`).catch(String)
      await waiting(1)
      const outcome = await writing
      await waiting(0)
      return outcome
    })

    expect(outcome).toContain('within 1000 ms')
    for (const each of [somebody, watcher, database]) await each.close()
  }, 60_000)

  test('that has become read-only still answers running reads', async () => {
    await using postgres = await startPostgres()
    const url = await postgres.database()
    const place = { kind: 'postgres', url } as const
    await migrateSql({ place, timeoutMs: 10_000, pool: 1 })
    const administrator = new SQL({ url, max: 1 })
    await administrator.unsafe('ALTER DATABASE test_1 SET default_transaction_read_only = on')
    const database = openAt(place)
    const version = () => database.read(sql => sql`SELECT version FROM versions WHERE subject = 'keys'`)
    await version()

    const reading = database.read(sql => sql`SELECT 1 FROM pg_sleep(0.5)`).catch(thrown => thrown)
    const refusal = await database.write(sql => sql`UPDATE versions SET version = 0`).catch(String)

    expect(refusal).toContain('read-only transaction')
    expect(await reading).toHaveLength(1)
    expect(await version()).toHaveLength(1)
    await administrator.close()
    await database.close()
  }, 60_000)

  test('with an encoding that cannot hold every text is refused before any table is created', async () => {
    await using postgres = await startPostgres()
    const url = await postgres.database()
    const sql = new SQL({ url, max: 1 })
    await sql.unsafe(`CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0`)
    await sql.unsafe(`CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0`)
    const kept = async (name: string) => {
      const database = openAt({ kind: 'postgres', url: url.replace(/\w+$/, name) })
      try {
        const rows: { owner: string }[] = await database.write(
          sql => sql`INSERT INTO leases (subject, owner, until) VALUES ('a', '日本', 1) RETURNING owner`,
        )
        return rows[0]?.owner
      } finally {
        await database.close()
      }
    }

    await expect(kept('latin')).rejects.toThrow('the encoding of the database is LATIN1, and has to be UTF8')
    expect([await kept('ascii'), await kept('test_1')]).toEqual(['日本', '日本'])
    await sql.close()
  }, 60_000)

  test('that comes back after a power cut is used again', async () => {
    await using postgres = await startPostgres()
    const database = openAt({ kind: 'postgres', url: await postgres.database() })
    const read = () => database.read(sql => sql`SELECT version FROM versions WHERE subject = 'keys'`)
    await read()

    await postgres.kill()
    await expect(read()).rejects.toThrow()
    await postgres.start()

    expect(await read()).toHaveLength(1)
    await database.close()
  }, 60_000)
})

describe('migrations', () => {
  test('are listed, and applied one by one', () =>
    withFile(async place => {
      const options = { place, timeoutMs: 1000, pool: 1 }
      const versions = readMigrations().map(({ version }) => version)

      const before = await migrationsOf(options)
      const made = existsSync(place.file)
      const applied = [await migrateSql(options), await migrateSql(options)]
      const after = await migrationsOf(options)

      expect(before).toEqual(versions.map(version => ({ version, appliedAt: null, known: true })))
      expect([made, ...applied]).toEqual([false, versions, []])
      expect(after.every(({ appliedAt }) => appliedAt !== null && Date.now() - appliedAt < 60_000)).toBe(true)
    }))

  test.each([
    ['take away an index also where it is gone already', 'DROP INDEX requests_by_parent'],
    ['make a table that an earlier form of a step had not', 'DROP TABLE probes'],
  ])('%s', (_, before) =>
    withFile(async place => {
      await mkdir(dirname(place.file), { recursive: true })
      const file = new Database(place.file, { create: true })
      file.run('CREATE TABLE migrations (version BIGINT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)')
      for (const { version, statements } of readMigrations().slice(0, 3)) {
        file.run(statements)
        file.run('INSERT INTO migrations VALUES (?, 0)', [version])
      }
      file.run(before)

      expect(await migrateSql({ place, timeoutMs: 1000, pool: 1 })).toContain(4)
      expect(file.query('SELECT * FROM probes').all()).toEqual([])
      file.close()
    }),
  )

  test('are numbered without a gap and use only types that every database has', () => {
    const migrations = readMigrations()

    expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, index) => index + 1))
    for (const { statements } of migrations) {
      const columns = [...statements.replace(/--.*$/gm, '').matchAll(/^ {2}[a-z_]+ ([A-Z]+(?: PRECISION)?)/gm)]
      expect(columns.filter(([, type = '']) => !['TEXT', 'BIGINT', 'DOUBLE PRECISION'].includes(type))).toEqual([])
    }
  })

  test('make tables in which every row names its tenant', () => {
    const text = readMigrations()
      .map(({ statements }) => statements)
      .join('\n')
    const tables = [...text.matchAll(/CREATE TABLE (\w+) \(([\s\S]*?)\n\);/g)]
    const shared = new Set(['tenants', 'versions', 'leases', 'cursors', 'failover_holds', 'probes'])

    const without = tables.filter(
      ([, name = '', columns = '']) => !shared.has(name) && !/\btenant TEXT NOT NULL/.test(columns),
    )

    expect(tables.length).toBeGreaterThan(7)
    expect(without.map(([, name]) => name)).toEqual([])
  })
})
