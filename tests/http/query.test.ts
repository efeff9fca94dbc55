import { describe, expect, test } from 'bun:test'
import { operations } from '#http/docs/operations.ts'
import { ADMINISTERED, AS_ADMIN, edgeOf, errorOf } from './edge.ts'

const LISTS = [
  ['getUsage', '/management/usage', 'modle', 'Unknown parameter "modle", did you mean "model"?'],
  ['listUsers', '/management/users', 'limits', 'Unknown parameter "limits", did you mean "limit"?'],
  ['listSessions', '/management/sessions', 'user', /^Unknown parameter "user"; the query may have tenant, key, limit,/],
  ['getAudit', '/management/audit', 'kinds', 'Unknown parameter "kinds", did you mean "kind"?'],
  ['listKeys', '/management/keys', 'page', /^Unknown parameter "page"; the query may have tenant, limit, after\.$/],
] as const

describe.each(LISTS)('the query of %s', (operation, path, unknown, message) => {
  test('may have what the reference names', async () => {
    const edge = await edgeOf(ADMINISTERED)
    const documented = Object.keys(operations.get(operation)?.query?.shape ?? {})

    expect(documented.length).toBeGreaterThan(2)
    for (const name of documented) {
      const response = await edge.ask(`${path}?${name}=1`, { headers: AS_ADMIN })
      if (response.status !== 200) expect((await errorOf(response)).message).not.toContain('Unknown parameter')
    }
  })

  test('is refused with another name in it, which would be answered as if nothing had been asked', async () => {
    const edge = await edgeOf(ADMINISTERED)

    const response = await edge.ask(`${path}?${unknown}=x`, { headers: AS_ADMIN })

    expect(response.status).toBe(400)
    const error = await errorOf(response)
    expect(error).toMatchObject({ code: 'invalid_request', param: unknown })
    expect(error.message).toMatch(message)
  })
})

test.each([
  ['POST', '/management/keys?tennant=shop', 'Unknown parameter "tennant", did you mean "tenant"?'],
  ['PATCH', '/management/keys/1?tennant=shop', 'Unknown parameter "tennant", did you mean "tenant"?'],
  ['DELETE', '/management/keys/1?force=1', 'Unknown parameter "force"; the query may have tenant.'],
  ['GET', '/management/keys/1?fields=name', 'Unknown parameter "fields"; the query may have tenant.'],
  ['POST', '/management/keys/1/rotate?overlap=1', 'Unknown parameter "overlap"; the query may have tenant.'],
  ['GET', '/management/stats?tennant=shop', 'Unknown parameter "tennant", did you mean "tenant"?'],
  ['GET', '/orchestration/events?since=1', 'Unknown parameter "since"; the query may have after, lastEventId.'],
  ['POST', '/management/cache/clear?model=chat', 'Unknown parameter "model"; nothing is taken from the query here.'],
  ['POST', '/management/config/reload?dry_run=1', 'Unknown parameter "dry_run"; nothing is taken from the query here.'],
  [
    'DELETE',
    '/orchestration/servers/a?dry_run=1',
    'Unknown parameter "dry_run"; nothing is taken from the query here.',
  ],
  ['POST', '/orchestration/failover/a?dry_run=1', 'Unknown parameter "dry_run"; nothing is taken from the query here.'],
])('%s %s does not do what its query seems to keep it from', async (method, path, message) => {
  const edge = await edgeOf(ADMINISTERED)
  const body = method === 'POST' && path.startsWith('/management/keys?') ? { name: 'web', role: 'admin' } : undefined

  const response = await edge.ask(path, { method, headers: AS_ADMIN, ...(body && { body }) })

  expect([response.status, (await errorOf(response)).message]).toEqual([400, message])
})
