import { describe, expect, test } from 'bun:test'
import { createHash, createHmac } from 'node:crypto'
import { keyList, keyView, keyWithSecret } from '#wire/keys.ts'
import { ADMIN_KEY, ADMINISTERED, AS_ADMIN, edgeOf, errorOf, makeKey } from './edge.ts'

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

async function setup() {
  const edge = await edgeOf(ADMINISTERED)
  const ask = async (method: string, path: string, body?: unknown, key = ADMIN_KEY) => {
    const response = await edge.ask(`/management/keys${path}`, { method, headers: bearer(key), body })
    return { status: response.status, body: await response.json(), headers: response.headers }
  }
  return { edge, ask }
}

describe('making a key', () => {
  test('shows it once, and it works at once', async () => {
    const { edge, ask } = await setup()

    const made = await ask('POST', '', { name: 'وب‌ها 👩‍👧', role: 'viewer', limits: { requests_per_minute: 7 } })
    const { key, signing_secret, ...view } = keyWithSecret.parse(made.body)
    const shown = await ask('GET', `/${view.id}`)

    expect([made.status, made.headers.get('cache-control')]).toEqual([201, 'no-store'])
    expect(key).toMatch(/^ck_[\w-]{43}$/)
    expect(signing_secret).toBeNull()
    expect(view).toMatchObject({
      name: 'وب‌ها 👩‍👧',
      role: 'viewer',
      tenant: 'default',
      status: 'active',
      created_by: 'admin',
    })
    expect(shown.body).toEqual(view)
    expect(JSON.stringify(shown.body)).not.toContain(key.slice(9))
    const stats = await edge.ask('/management/stats', { headers: bearer(key) })
    expect([stats.status, (await edge.chat({ headers: bearer(key) })).status]).toEqual([200, 200])
  })

  test('takes effect in a call: its models, its limits, its expiry', async () => {
    const edge = await edgeOf({ auth: { mode: 'required', admin_keys: [ADMIN_KEY] } })
    const expires_at = new Date(edge.clock.time() + 60_000).toISOString()
    const { key } = await makeKey(edge, { models: ['citadel-demo'], limits: { requests_per_minute: 2 }, expires_at })
    const other = await makeKey(edge, { models: ['other'] })

    const statuses = [
      (await edge.chat({ headers: bearer(key) })).status,
      (await edge.chat({ headers: bearer(key) })).status,
      (await edge.chat({ headers: bearer(key) })).status,
      (await edge.chat({ headers: bearer(other.key) })).status,
    ]
    await edge.pass(60_000)

    expect(statuses).toEqual([200, 200, 429, 403])
    expect((await edge.chat({ headers: bearer(key) })).status).toBe(401)
  })

  test('has the limit of every client where it says null, and no limit where it says 0', async () => {
    const auth = { mode: 'required', admin_keys: [ADMIN_KEY] }
    const edge = await edgeOf({ auth, limits: { per_client: { requests_per_minute: 2 } } })
    const usual = await makeKey(edge, { limits: { requests_per_minute: null } })
    const free = await makeKey(edge, { limits: { requests_per_minute: 0 } })
    const statusesOf = async ({ key }: { readonly key: string }) => {
      const statuses: number[] = []
      for (let n = 0; n < 4; n++) statuses.push((await edge.chat({ headers: bearer(key) })).status)
      return statuses
    }

    expect(await statusesOf(usual)).toEqual([200, 200, 429, 429])
    expect(await statusesOf(free)).toEqual([200, 200, 200, 200])
  })

  test('closes a gateway whose mode is auto', async () => {
    const edge = await edgeOf()
    const before = (await edge.chat()).status
    const first = await edge.gateway.firstKey()
    const still = (await edge.chat()).status
    await edge.ask('/management/keys', {
      method: 'POST',
      headers: bearer(first?.key ?? ''),
      body: { name: 'web' },
    })

    expect([before, still, (await edge.chat()).status]).toEqual([200, 200, 401])
    expect([before, await edge.gateway.firstKey()]).toEqual([200, null])
  })

  test.each<[string, unknown, string]>([
    ['no name', {}, 'name'],
    ['an empty name', { name: '' }, 'name'],
    ['a name with a line break', { name: 'a\nb' }, 'name'],
    ['an unknown role', { name: 'a', role: 'root' }, 'role'],
    ['a tenant', { name: 'a', tenant: 'bank' }, 'tenant'],
    ['an id', { name: 'a', id: 'mine' }, 'id'],
    ['a secret of its own', { name: 'a', key: 'ck_mine' }, 'key'],
    ['an origin', { name: 'a', origin: 'first_start' }, 'origin'],
    ['a negative limit', { name: 'a', limits: { requests_per_minute: -1 } }, 'limits.requests_per_minute'],
    ['an unknown limit', { name: 'a', limits: { requests_per_second: 1 } }, 'limits.requests_per_second'],
    ['half a request', { name: 'a', limits: { requests_per_day: 0.5 } }, 'limits.requests_per_day'],
    ['a limit in words', { name: 'a', limits: { tokens_per_day: 'unlimited' } }, 'limits.tokens_per_day'],
    ['a burst of none', { name: 'a', limits: { requests_per_minute: 5, burst: 0 } }, 'limits.burst'],
    ['a burst of no limit', { name: 'a', limits: { requests_per_minute: 0, burst: 5 } }, 'limits.burst'],
    ['a budget without an amount', { name: 'a', budget: { per: 'day' } }, 'budget.usd'],
    ['a date that is none', { name: 'a', expires_at: 'tomorrow' }, 'expires_at'],
    ['a moment behind the last day', { name: 'a', expires_at: '9999-12-31T23:59:59-14:00' }, 'expires_at'],
    ['a moment before the first day', { name: 'a', expires_at: '0000-01-01T00:00:00+14:00' }, 'expires_at'],
    ['half a character', { name: 'a\ud83d' }, 'name'],
    ['a name that is shown backwards', { name: 'web\u202enimda' }, 'name'],
    ['a name with a mark that nobody sees', { name: 'ad\u200bmin' }, 'name'],
    ['a name with a joiner that joins nothing', { name: 'ad\u200dmin' }, 'name'],
    ['a name with a selector that selects nothing', { name: 'admin\ufe0f' }, 'name'],
    ['a name of a letter that nobody sees', { name: '\u3164' }, 'name'],
    ['a name of blanks', { name: ' \u3000' }, 'name'],
    ['a flag without an end', { name: `\u{1f3f4}${'\u{e0061}'.repeat(100)}\u{e007f}` }, 'name'],
    ['a list', [], ''],
  ])('is refused with %s', async (_, body, param) => {
    const { ask } = await setup()

    const refused = await ask('POST', '', body)

    expect([refused.status, refused.body.error.code]).toEqual([400, 'invalid_request'])
    if (param !== '') expect(refused.body.error.param).toBe(param)
    expect((await ask('GET', '')).body.data).toEqual([])
  })
})

test.each([
  '김철수',
  'क्‍ष',
  'API\u200cها',
  '葛\u{e0100}城',
  '1️⃣ ❤️',
  '🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}',
])('a key may be called %s, as people write', async name => {
  const { ask } = await setup()

  expect(await ask('POST', '', { name })).toMatchObject({ status: 201, body: { name } })
})

test('what is absent is asked for', async () => {
  const { ask } = await setup()

  const said = [undefined, {}, { name: 'a', budget: {} }].map(
    async body => (await ask('POST', '', body)).body.error.message,
  )

  expect(await Promise.all(said)).toEqual([
    'A request body is required, as JSON.',
    'name: is required.',
    'budget.usd: is required.',
  ])
})

test('a field that no key has is named, with the one that was meant', async () => {
  const { ask } = await setup()

  const { body } = await ask('POST', '', { name: 'a', expires: '2037-01-01', limits: { request_per_minute: 5 }, by: 1 })

  expect(body.error.message).toBe('limits.request_per_minute: unknown field, did you mean "requests_per_minute"?')
  expect(body.error.details).toEqual([
    { path: 'limits.request_per_minute', message: 'unknown field, did you mean "requests_per_minute"?' },
    { path: 'expires', message: 'unknown field, did you mean "expires_at"?' },
    { path: 'by', message: expect.stringMatching(/^unknown field; there may be name, role, models, .*expires_at$/) },
  ])
})

describe('a key that is there', () => {
  test('is changed where the patch says', async () => {
    const { edge, ask } = await setup()
    const { id } = await makeKey(edge, { name: 'web', models: ['chat'], limits: { requests_per_minute: 5 } })
    const before = (await ask('GET', `/${id}`)).body

    const changed = await ask('PATCH', `/${id}`, { limits: { tokens_per_day: 9 }, expires_at: '2027-01-01T00:00:00Z' })

    expect(changed.body).toEqual({
      ...before,
      limits: { ...before.limits, tokens_per_day: 9 },
      expires_at: '2027-01-01T00:00:00.000Z',
    })
    expect((await ask('GET', `/${id}`)).body).toEqual(changed.body)
  })

  test('is rotated: both secrets are good for the overlap, then one', async () => {
    const { edge, ask } = await setup()
    const { id, key } = await makeKey(edge, { role: 'viewer' })
    const works = async (secret: string) =>
      (await edge.ask('/management/stats', { headers: bearer(secret) })).status === 200

    const rotated = keyWithSecret.parse((await ask('POST', `/${id}/rotate`, { overlap_seconds: 60 })).body)
    await edge.pass(59_000)
    const during = [await works(key), await works(rotated.key)]
    await edge.pass(1000)

    expect(rotated.id).toBe(id)
    expect(rotated).toMatchObject({ status: 'active', revoked_at: null })
    expect([during, await works(key), await works(rotated.key)]).toEqual([[true, true], false, true])
  })

  test('is rotated without an overlap when it has leaked', async () => {
    const { edge, ask } = await setup()
    const { id, key } = await makeKey(edge, { role: 'viewer' })
    await edge.ask('/management/stats', { headers: bearer(key) })

    await ask('POST', `/${id}/rotate`, { overlap_seconds: 0 })

    expect((await edge.ask('/management/stats', { headers: bearer(key) })).status).toBe(401)
  })

  test('is revoked at once and for good', async () => {
    const { edge, ask } = await setup()
    const { id, key } = await makeKey(edge, { role: 'admin' })
    const before = await ask('GET', '', undefined, key)

    const revoked = await ask('DELETE', `/${id}`)

    expect([before.status, revoked.body.status]).toEqual([200, 'revoked'])
    expect((await ask('GET', '', undefined, key)).status).toBe(401)
    expect((await ask('PATCH', `/${id}`, { name: 'again' })).body.error.code).toBe('conflict')
    expect((await ask('POST', `/${id}/rotate`)).body.error.code).toBe('conflict')
    expect((await ask('DELETE', `/${id}`)).body.revoked_at).toBe(revoked.body.revoked_at)
  })

  test('stands in the list, page by page', async () => {
    const { edge, ask } = await setup()
    const ids: string[] = []
    for (let count = 0; count < 5; count++) {
      ids.push((await makeKey(edge)).id)
      edge.clock.jump(1)
    }

    const first = keyList.parse((await ask('GET', '?limit=3')).body)
    const second = keyList.parse((await ask('GET', `?limit=3&after=${first.next}`)).body)

    expect([first.data.map(({ id }) => id), second.data.map(({ id }) => id)]).toEqual([ids.slice(0, 3), ids.slice(3)])
    expect(second.next).toBeNull()
    expect(keyList.parse((await ask('GET', '?limit=5')).body)).toMatchObject({ data: { length: 5 }, next: null })
    expect((await ask('GET', '?after=nothing')).status).toBe(400)
    for (const limit of ['1', '200']) expect((await ask('GET', `?limit=${limit}`)).status).toBe(200)
    const refused = ['0', '201', 'x', '-1', '1.5', '1e2', '0x10', '5.0', '%205', '%2B5', '']
    for (const limit of refused) expect((await ask('GET', `?limit=${limit}`)).status, limit).toBe(400)
  })
})

describe('a key whose requests must be signed', () => {
  async function signing() {
    const { edge, ask } = await setup()
    const made = keyWithSecret.parse((await ask('POST', '', { name: 'partner', role: 'viewer', signing: true })).body)
    let sent = 0
    /** Asks for the statistics, signed with a secret. */
    const stats = async (key: string, secret: string | null) => {
      const at = edge.clock.time() + ++sent
      const hash = createHash('sha256').update('').digest('hex')
      const lines = `GET\n/management/stats\n${at}\n${hash}`
      const signature = secret === null ? '' : `v1=${createHmac('sha256', secret).update(lines).digest('hex')}`
      const headers = { ...bearer(key), 'x-citadel-timestamp': `${at}`, 'x-citadel-signature': signature }
      return (await edge.ask('/management/stats', { headers })).status
    }
    return { edge, ask, made, stats }
  }

  test('is told with what, once, and is good for nothing else', async () => {
    const { ask, made, stats } = await signing()
    const { key, signing_secret: secret, ...view } = made
    const shown = (await ask('GET', `/${made.id}`)).body

    expect(secret).toMatch(/^cs_[\w-]{43}$/)
    expect(shown).toEqual(view)
    expect(view.signing).toBe(true)
    expect([await stats(key, secret), await stats(key, null)]).toEqual([200, 401])
    expect([await stats(key, ''), await stats(key, key), await stats(key, 'cs_wrong')]).toEqual([401, 401, 401])
  })

  test('signs with another secret when it is rotated, and with the old one for the overlap', async () => {
    const { edge, ask, made, stats } = await signing()
    const rotated = keyWithSecret.parse((await ask('POST', `/${made.id}/rotate`, { overlap_seconds: 60 })).body)
    const [old, next] = [made.signing_secret, rotated.signing_secret]

    expect(next).not.toBe(old)
    expect([await stats(made.key, old), await stats(rotated.key, next)]).toEqual([200, 200])
    expect([await stats(made.key, next), await stats(rotated.key, old)]).toEqual([401, 401])
    await edge.pass(60_000)
    expect([await stats(made.key, old), await stats(rotated.key, next)]).toEqual([401, 200])
  })

  test('cannot be let off, and another one cannot be made to', async () => {
    const { edge, ask, made } = await signing()
    const plain = await makeKey(edge)

    for (const id of [made.id, plain.id]) {
      expect((await ask('PATCH', `/${id}`, { signing: false })).status).toBe(400)
    }
    expect((await ask('PATCH', `/${plain.id}`, { cache: false })).body).toMatchObject({ cache: false, signing: false })
  })
})

test('the answers to a key without a cache are stored for nobody', async () => {
  const edge = await edgeOf({
    ...ADMINISTERED,
    auth: { mode: 'required', admin_keys: [ADMIN_KEY] },
    cache: { enabled: true },
  })
  const [stored, kept] = [await makeKey(edge), await makeKey(edge, { cache: false })]
  const twice = async ({ key }: { key: string }) => {
    const answers = [await edge.chat({ headers: bearer(key) }), await edge.chat({ headers: bearer(key) })]
    for (const answer of answers) await answer.text()
    return answers.map(answer => answer.headers.get('x-citadel-cache'))
  }

  expect(await twice(stored)).toEqual(['miss', 'hit'])
  expect(await twice(kept)).toEqual(['bypass', 'bypass'])
})

test('what a key may call by the name of a server it may look at by that name', async () => {
  const target = { server: 'a', model: 'up' }
  const edge = await edgeOf({
    auth: { mode: 'required', admin_keys: [ADMIN_KEY] },
    servers: [{ id: 'a', kind: 'openai_compatible', base_url: 'http://127.0.0.1:9' }],
    models: { chat: { targets: [target] }, other: { targets: [target] } },
  })
  const statuses = async (models: readonly string[]) => {
    const { key } = await makeKey(edge, { models })
    const ask = async (name: string) => (await edge.ask(`/v1/models/${name}`, { headers: bearer(key) })).status
    return [await ask('a/up'), await ask('chat'), await ask('other')]
  }

  expect(await statuses(['a/up'])).toEqual([200, 404, 404])
  expect(await statuses(['chat'])).toEqual([200, 200, 404])
  expect(await statuses(['other'])).toEqual([200, 404, 200])
  expect(await statuses(['citadel-demo'])).toEqual([404, 404, 404])
})

describe('what is told of a key', () => {
  test('is in the log, without the key', async () => {
    const { edge, ask } = await setup()
    const { id, key } = await makeKey(edge)
    await ask('DELETE', `/${id}`)

    const lines = await edge.log()

    const told = lines.map(line => JSON.parse(line)).filter(({ message }) => message === 'administered')
    expect(told.map(({ action, subject, by }) => [action, subject, by])).toEqual([
      ['key-created', id, 'admin'],
      ['key-revoked', id, 'admin'],
    ])
    expect(lines.join('\n')).not.toContain(key)
  })
})

/** Two tenants with a key of each role, and administrators of both and of the whole installation. */
async function tenants() {
  const edge = await edgeOf({ auth: { mode: 'required', admin_keys: [ADMIN_KEY] } })
  const roles = ['caller', 'viewer', 'operator', 'admin'] as const
  const keys = new Map<string, string>()
  for (const role of roles) keys.set(role, (await makeKey(edge, { role, name: role }, '?tenant=shop')).key)
  const foreign = await makeKey(edge, { name: 'foreign' }, '?tenant=bank')
  const own = await makeKey(edge, { name: 'own' }, '?tenant=shop')
  return { edge, keys, foreign, own }
}

const REQUESTS = [
  ['GET', '/management/keys/:id', undefined],
  ['PATCH', '/management/keys/:id', { name: 'taken' }],
  ['POST', '/management/keys/:id/rotate', { overlap_seconds: 0 }],
  ['DELETE', '/management/keys/:id', undefined],
] as const

describe('a key of another tenant', () => {
  for (const role of ['caller', 'viewer', 'operator', 'admin'] as const) {
    test.each(REQUESTS)(`is out of reach for a key with the role ${role}: %s %s`, async (method, path, body) => {
      const { edge, keys, foreign, own } = await tenants()
      const headers = bearer(keys.get(role) ?? '')
      const missing = '019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e8f'
      const ask = async (id: string, query = '') => {
        const response = await edge.ask(path.replace(':id', id) + query, { method, headers, body })
        return [response.status, response.status < 400 ? null : await errorOf(response)] as const
      }

      const answers = [await ask(foreign.id), await ask(missing)]
      const named = await ask(foreign.id, '?tenant=bank')
      const reached = await ask(own.id)

      // Nobody can tell a foreign key from one that never was.
      expect(answers[0]).toEqual(answers[1] ?? [0, null])
      expect(answers[0]?.[0]).toBe(role === 'admin' ? 404 : 403)
      expect(named[0]).toBe(403)
      expect(reached[0]).toBe(role === 'admin' ? 200 : 403)
      const after = await edge.ask(`/management/keys/${foreign.id}?tenant=bank`, { headers: AS_ADMIN })
      expect(await after.json()).toMatchObject({ name: 'foreign', status: 'active', rotated_at: null, tenant: 'bank' })
    })
  }

  test('stands in no list but that of its tenant', async () => {
    const { edge, keys, foreign } = await tenants()
    const ids = async (query: string, headers: Record<string, string>) => {
      const response = await edge.ask(`/management/keys${query}`, { headers })
      const { data } = keyList.parse(await response.json())
      return new Set(data.map(({ id, tenant }) => `${tenant} ${id}`))
    }

    const [shop, bank, all] = [
      await ids('', bearer(keys.get('admin') ?? '')),
      await ids('?tenant=bank', AS_ADMIN),
      await ids('', AS_ADMIN),
    ]

    expect(shop.size).toBe(5)
    expect([...shop].every(each => each.startsWith('shop '))).toBe(true)
    expect([bank, all]).toEqual([new Set([`bank ${foreign.id}`]), new Set()])
  })

  test('is never made by a key of one tenant', async () => {
    const { edge, keys } = await tenants()
    const headers = bearer(keys.get('admin') ?? '')

    const refused = await edge.ask('/management/keys?tenant=default', { method: 'POST', headers, body: { name: 'a' } })
    const made = await edge.ask('/management/keys', { method: 'POST', headers, body: { name: 'a' } })

    expect([refused.status, keyView.parse(await made.json()).tenant]).toEqual([403, 'shop'])
  })

  test('is never named by a tenant that cannot be one', async () => {
    const edge = await edgeOf(ADMINISTERED)

    for (const tenant of ['', "'; DROP TABLE keys; --", 'a b', '*', 'x'.repeat(129)]) {
      const response = await edge.ask(`/management/keys?tenant=${encodeURIComponent(tenant)}`, { headers: AS_ADMIN })
      expect(response.status).toBe(400)
    }
  })
})

describe('the statistics', () => {
  test('count the calls and tokens of one tenant', async () => {
    const { edge, keys } = await tenants()
    const closed = await edgeOf({ auth: { mode: 'required', admin_keys: [ADMIN_KEY] } })
    const shop = await makeKey(closed, { role: 'viewer' }, '?tenant=shop')
    await closed.chat({ headers: bearer(shop.key) })
    await closed.chat({ headers: bearer(shop.key), body: { model: 'nothing', messages: [] } })
    await closed.ask('/metrics', { headers: bearer(shop.key) })

    const stats = await (await closed.ask('/management/stats', { headers: bearer(shop.key) })).json()
    const foreign = await edge.ask('/management/stats?tenant=bank', { headers: bearer(keys.get('viewer') ?? '') })

    expect(stats).toMatchObject({ tenant: 'shop', requests: { total: 2, ok: 1, denied: 1 } })
    expect(Math.min(stats.tokens.input, stats.tokens.output)).toBeGreaterThan(0)
    expect(foreign.status).toBe(403)
  })
})
