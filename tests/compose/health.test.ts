import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SQL } from 'bun'
import { migrateSql } from '#stores/sql-client.ts'
import { startGateway, type TestGateway } from '#tests/support/gateway.ts'
import { startPostgres } from '#tests/support/postgres.ts'

const ADMIN = { authorization: 'Bearer admin-key' }

test('a Postgres that takes no changes is not healthy', async () => {
  await using postgres = await startPostgres()
  const url = await postgres.database()
  await migrateSql({ place: { kind: 'postgres', url }, timeoutMs: 10_000, pool: 1 })
  const config = { auth: { admin_keys: ['admin-key'] }, database: { url }, gateway: { demo: true } }
  const healthOf = async () => {
    await using gateway = await startGateway(config)
    return await readHealth(gateway)
  }

  const before = await healthOf()
  const administrator = new SQL({ url, max: 1 })
  await administrator.unsafe('ALTER DATABASE test_1 SET default_transaction_read_only = on')
  await administrator.close()
  const after = await healthOf()

  expect([before, after]).toEqual([
    ['healthy', 'healthy', true],
    ['degraded', 'unhealthy', false],
  ])
}, 60_000)

test('a database that can be read and takes no rows is not healthy until it takes them again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'citadel-health-'))
  const file = join(folder, 'citadel.db')
  await migrateSql({ place: { kind: 'sqlite', file }, timeoutMs: 10_000, pool: 1 })
  const administer = (statement: string) => {
    using database = new Database(file)
    database.run(statement)
  }
  administer(`CREATE TRIGGER full BEFORE INSERT ON requests BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END`)
  try {
    await using gateway = await startGateway({
      auth: { admin_keys: ['admin-key'] },
      database: { url: `sqlite://${file}` },
      gateway: { demo: true },
    })

    await gateway.chat({ model: 'citadel-demo' }, { headers: ADMIN })
    await gateway.logged({ message: 'rows wait for the database' })
    const meanwhile = await readHealth(gateway)
    administer('DROP TRIGGER full')
    await gateway.logged({ message: 'the database takes rows again' })
    const after = await readHealth(gateway)

    expect([meanwhile, after]).toEqual([
      ['degraded', 'unhealthy', false],
      ['healthy', 'healthy', true],
    ])
  } finally {
    await rm(folder, { recursive: true })
  }
})

async function readHealth(gateway: TestGateway): Promise<readonly unknown[]> {
  const { status, dependencies } = await (await fetch(`${gateway.url}/health/detailed`, { headers: ADMIN })).json()
  return [status, dependencies.database.status, dependencies.database.available]
}
