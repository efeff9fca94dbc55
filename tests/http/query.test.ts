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
