import { expect, test } from 'bun:test'
import { startGateway } from '#tests/support/gateway.ts'
import { startPostgres } from '#tests/support/postgres.ts'

const ADMIN = 'gw-admin-0123456789abcdef'

test('a NUL in a path or a query finds nothing, and is no database that is away', async () => {
  await using postgres = await startPostgres()
  await using gateway = await startGateway({
    auth: { mode: 'none', admin_keys: [ADMIN] },
    database: { url: await postgres.database() },
  })
  const ask = async ([method, path, body]: readonly [string, string, object?]) => {
    const headers = { authorization: `Bearer ${ADMIN}` }
    const response = await fetch(gateway.url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
    await response.text()
    return `${method} ${path} ${response.status}`
  }

  const ids = [
    ['GET', '/management/keys/%00'],
    ['DELETE', '/management/keys/%00'],
    ['PATCH', '/management/keys/%00', { name: 'x' }],
    ['DELETE', '/orchestration/servers/%00'],
    ['POST', '/orchestration/servers/%00/heartbeat', {}],
  ] as const
  const queries = [
    ['GET', '/management/usage?key=%00&model=a%00&server=%00'],
    ['GET', '/management/users?key=%00'],
    ['GET', '/management/audit?actor=%00'],
  ] as const

  expect(await Promise.all(ids.map(ask))).toEqual(ids.map(([method, path]) => `${method} ${path} 404`))
  expect(await Promise.all(queries.map(ask))).toEqual(queries.map(([method, path]) => `${method} ${path} 200`))
  expect(await ask(['GET', '/management/keys?after=%00'])).toBe('GET /management/keys?after=%00 400')
}, 60_000)
