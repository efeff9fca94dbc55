import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Database, type DatabasePlace, openSql } from '#stores/sql.ts'
import { readMigrations } from '#stores/sql-migrations.ts'

/** Where a contract finds databases: a new, empty one each time it asks. */
export interface Places {
  place(): Promise<DatabasePlace>
  close(): Promise<void>
}

/** Opens a database as tests do. */
export function openAt(place: DatabasePlace, timeoutMs = 10_000): Database {
  return openSql({ place, timeoutMs, pool: 4 })
}

/** What every database promises. */
export function databaseContract(name: string, open: () => Promise<Places>): void {
  describe(name, () => {
    let places: Places
    let database: Database

    beforeAll(async () => {
      places = await open()
      database = openAt(await places.place())
    }, 60_000)
    afterAll(async () => {
      await database.close()
      await places.close()
    })

    const version = (of: Database, subject: string) =>
      of.read(async sql => {
        const rows: { version: bigint }[] = await sql`SELECT version FROM versions WHERE subject = ${subject}`
        return rows.map(row => Number(row.version))
      })

    test('gives numbers, texts and nothing back as they were given', async () => {
      const rows = [
        { id: 'a', tenant: 'ü"\'; --', load: '{"at": 0.1}', big: Number.MAX_SAFE_INTEGER, late: null },
        { id: 'b', tenant: '', load: 'x'.repeat(10_000), big: -1, late: 5 },
      ]
      for (const row of rows) {
        await database.write(
          sql => sql`INSERT INTO servers VALUES (${row.id}, ${row.tenant}, 'k', 'u', 's', '{}', ${row.load}, 'me', 1,
            ${row.big}, ${row.late}, ${null}, 1)`,
        )
      }

      const found = await database.read(
        sql => sql`SELECT id, tenant, load, heartbeat_at AS big, expires_at AS late FROM servers ORDER BY id`,
      )

      expect([...found]).toEqual(
        rows.map(row => ({ ...row, big: BigInt(row.big), late: row.late === null ? null : BigInt(row.late) })),
      )
    })

    test('takes a transaction back when one of its statements fails', async () => {
      const failing = database.write(async sql => {
        await sql`INSERT INTO versions (subject, version) VALUES ('half', 1)`
        await sql`INSERT INTO versions (subject, version) VALUES ('half', 2)`
      })

      await expect(failing).rejects.toThrow()
      expect(await version(database, 'half')).toEqual([])
    })

    test('shows nothing of a transaction before its end', async () => {
      const [begun, may] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const place = await places.place()
      const [writer, reader] = [openAt(place), openAt(place)]
      await reader.write(sql => sql`INSERT INTO versions (subject, version) VALUES ('later', 1)`)
      const writing = writer.write(async sql => {
        await sql`UPDATE versions SET version = 2 WHERE subject = 'later'`
        begun.resolve()
        await may.promise
      })
      await begun.promise
      const during = place.kind === 'sqlite' && place.file === null ? [1] : await version(reader, 'later')
      may.resolve()
      await writing

      expect(during).toEqual([1])
      expect(await version(writer, 'later')).toEqual([2])
      await Promise.all([writer.close(), reader.close()])
    })

    test('lets exactly ten of a hundred take from ten, all at once', async () => {
      await database.write(sql => sql`INSERT INTO versions (subject, version) VALUES ('cap', 0)`)

      const taken = await Promise.all(
        Array.from({ length: 100 }, () =>
          database.write(
            sql =>
              sql`UPDATE versions SET version = version + 1 WHERE subject = 'cap' AND version + 1 <= 10 RETURNING version`,
          ),
        ),
      )

      expect(taken.filter(rows => rows.length === 1)).toHaveLength(10)
      expect(await version(database, 'cap')).toEqual([10])
    })

    test('is brought up to date once, however many open it at the same time', async () => {
      const place = await places.place()
      const all = Array.from({ length: 4 }, () => openAt(place))

      const versions = await Promise.all(
        all.map((each, index) =>
          each
            .write(sql => sql`INSERT INTO versions (subject, version) VALUES (${`opener-${index}`}, 1)`)
            .then(() => each.read(sql => sql<{ version: bigint }>`SELECT version FROM migrations ORDER BY version`)),
        ),
      )

      expect(new Set(versions.map(rows => JSON.stringify(rows.map(row => Number(row.version)))))).toEqual(
        new Set([JSON.stringify(readMigrations().map(({ version }) => version))]),
      )
      await Promise.all(all.map(each => each.close()))
    })

    test('works again after it was closed', async () => {
      const again = openAt(await places.place())
      await again.write(sql => sql`INSERT INTO versions (subject, version) VALUES ('first', 1)`)
      await again.close()
      await again.write(sql => sql`INSERT INTO versions (subject, version) VALUES ('second', 1)`)

      expect(await version(again, 'second')).toEqual([1])
      await again.close()
    })
  })
}
