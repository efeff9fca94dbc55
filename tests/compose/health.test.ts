import { expect, test } from 'bun:test'
import { SQL } from 'bun'
import { migrateSql } from '#stores/sql-client.ts'
import { startGateway } from '#tests/support/gateway.ts'
import { startPostgres } from '#tests/support/postgres.ts'

test('a Postgres that takes no changes is not healthy', async () => {
  await using postgres = await startPostgres()
  const url = await postgres.database()
  await migrateSql({ place: { kind: 'postgres', url }, timeoutMs: 10_000, pool: 1 })
  const config = { auth: { admin_keys: ['admin-key'] }, database: { url }, gateway: { demo: true } }
  const healthOf = async () => {
    await using gateway = await startGateway(config)
    const headers = { authorization: 'Bearer admin-key' }
    const { status, dependencies } = await (await fetch(`${gateway.url}/health/detailed`, { headers })).json()
    return [status, dependencies.database.status, dependencies.database.available]
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
