import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { configOf, SERVER_KEY, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { json } from '#tests/support/upstream.ts'
import { auditPage } from '#wire/audit.ts'
import { namedPage, usagePage } from '#wire/usage-report.ts'

setDefaultTimeout(30_000)

const ADMIN = 'gw-admin-0123456789abcdef'
const [SHOP, LAB] = ['gw-shop-0123456789abcdef', 'gw-lab-0123456789abcdef']
/** Seven tokens in and three out, as the scripted server says: 7 × 1 + 3 × 2 millionths. */
const COST_USD = 0.000013

/** A gateway whose state is in a folder of its own, in front of a server with a price. */
async function withLedger(run: (gateway: TestGateway) => Promise<void>, more: object = {}): Promise<void> {
  const folder = await ownFolder('citadel-ledger-')
  await using server = await startModelServer(openAiScript())
  try {
    await using gateway = await startGateway({
      ...configOf([server]),
      service: { data_dir: folder.path },
      gateway: { headers: 'full' },
      models: { chat: { targets: [{ server: 'a', model: 'test-model', price: { input: 1, output: 2 } }] } },
      auth: {
        admin_keys: [ADMIN],
        keys: [
          { name: 'web', key: SHOP, tenant: 'shop' },
          { name: 'watch', key: LAB, tenant: 'lab', role: 'viewer', budget: { usd: 0.0005, per: 'month' } },
        ],
      },
      ...more,
    })
    await run(gateway)
  } finally {
    await folder.remove()
  }
}

const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })

/** Asks until the rows are there. */
async function until<T>(ask: () => Promise<T>, good: (value: T) => boolean): Promise<T> {
  const endsAt = performance.now() + 10_000
  while (true) {
    const value = await ask()
    if (good(value)) return value
    if (performance.now() > endsAt) throw new Error(`it never came: ${JSON.stringify(value)}`)
    await Bun.sleep(20)
  }
}

async function usageOf(gateway: TestGateway, key: string, query: string) {
  const response = await fetch(`${gateway.url}/management/usage?${query}`, as(key))
  return usagePage.parse(await response.json()).data
}

async function auditOf(gateway: TestGateway, key: string, query: string) {
  const response = await fetch(`${gateway.url}/management/audit?${query}`, as(key))
  return auditPage.parse(await response.json())
}

describe('what a call costs', () => {
  test('stands in its header, its report, its row and the metrics', () =>
    withLedger(async gateway => {
      const response = await gateway.chat({}, as(SHOP))
      const id = response.headers.get('x-request-id')
      await (await gateway.chat({ stream: true }, as(SHOP))).text()

      const report = await (await fetch(`${gateway.url}/v1/requests/${id}`, as(SHOP))).json()
      const [line] = await until(
        () => usageOf(gateway, ADMIN, 'tenant=shop&by=day,key,tenant,model,server'),
        ([first]) => first?.requests === 2,
      )
      const metrics = await gateway.gateway.metrics()

      expect(response.headers.get('x-citadel-cost')).toBe('0.000013')
      expect(report).toMatchObject({ cost_usd: COST_USD })
      expect(line).toMatchObject({ key: 'web', tenant: 'shop', model: 'chat', server: 'a', input_tokens: 14 })
      expect(line).toMatchObject({ output_tokens: 6, cost_usd: 2 * COST_USD, unpriced: 0, estimated: 0 })
      expect(metrics.text).toContain('gateway_cost_usd_total{server="a",model="chat"} 0.000026')
      expect(metrics.text).toContain('gateway_holds_open 0')
    }))

  test('is saved by the cache: told in reports, rows, statistics and metrics', () =>
    withLedger(
      async gateway => {
        for (let at = 0; at < 2; at++) await (await gateway.chat({}, as(LAB))).text()
        const hit = await gateway.chat({ stream: true }, as(LAB))
        await hit.text()
        const id = hit.headers.get('x-request-id')

        const report = await (await fetch(`${gateway.url}/v1/requests/${id}`, as(LAB))).json()
        const [line] = await until(
          () => usageOf(gateway, ADMIN, 'tenant=lab&by=tenant'),
          ([first]) => first?.requests === 3,
        )
        const { cache } = await (await fetch(`${gateway.url}/management/stats`, as(LAB))).json()
        const { text } = await gateway.gateway.metrics()

        expect(report).toMatchObject({ cost_usd: 0, saved_usd: COST_USD, saved_tokens: 10 })
        expect(line).toMatchObject({ cost_usd: COST_USD, saved_usd: 2 * COST_USD, saved_tokens: 20 })
        expect(cache).toMatchObject({ hits: 2, saved_tokens: 20, saved_usd: 2 * COST_USD })
        expect(text).toContain('gateway_saved_cost_usd_total{model="chat"} 0.000026')
      },
      {
        cache: { enabled: true },
        auth: { admin_keys: [ADMIN], keys: [{ name: 'watch', key: LAB, tenant: 'lab', role: 'viewer' }] },
      },
    ))

  test('is saved at the price of the model that was asked, also where another one has the same target', () =>
    withLedger(
      async gateway => {
        for (let at = 0; at < 2; at++) await (await gateway.chat({ model: 'cheap' }, as(SHOP))).text()
        const hit = await gateway.chat({ model: 'cheap' }, as(SHOP))

        const report = await (
          await fetch(`${gateway.url}/v1/requests/${hit.headers.get('x-request-id')}`, as(SHOP))
        ).json()

        expect(report).toMatchObject({ model: 'cheap', cache: 'hit', saved_usd: COST_USD })
      },
      {
        cache: { enabled: true },
        models: {
          dear: { targets: [{ server: 'a', model: 'test-model', price: { input: 10, output: 20 } }] },
          cheap: { targets: [{ server: 'a', model: 'test-model', price: { input: 1, output: 2 } }] },
        },
      },
    ))

  test('is unknown where the price is, and is counted as such', () =>
    withLedger(
      async gateway => {
        const response = await gateway.chat({}, as(SHOP))
        await response.text()

        const [line] = await until(
          () => usageOf(gateway, ADMIN, 'tenant=shop'),
          ([first]) => first?.requests === 1,
        )

        expect(response.headers.get('x-citadel-cost')).toBeNull()
        expect(line).toMatchObject({ cost_usd: 0, unpriced: 1 })
        expect((await gateway.gateway.metrics()).text).toContain(
          'gateway_cost_unknown_total{server="a",model="chat"} 1',
        )
      },
      { models: { chat: { targets: [{ server: 'a', model: 'test-model' }] } } },
    ))

  test('is a price for requests alone where only that is named', () =>
    withLedger(
      async gateway => {
        expect((await gateway.chat({}, as(SHOP))).headers.get('x-citadel-cost')).toBe('0.1')
      },
      { models: { chat: { targets: [{ server: 'a', model: 'test-model', price: { request: 0.1 } }] } } },
    ))
})

describe('usage', () => {
  test('is shown to a tenant of its own rows alone', () =>
    withLedger(async gateway => {
      await (await gateway.chat({}, as(SHOP))).text()
      await (await gateway.chat({ max_tokens: 10 }, as(LAB))).text()
      const all = await until(
        () => usageOf(gateway, ADMIN, 'tenant=*&by=tenant'),
        lines => lines.length === 2,
      )

      expect(all.map(({ tenant }) => tenant)).toEqual(['lab', 'shop'])
      expect((await usageOf(gateway, LAB, 'by=tenant')).map(({ tenant }) => tenant)).toEqual(['lab'])
      for (const tenant of ['shop', '*']) {
        expect((await fetch(`${gateway.url}/management/usage?tenant=${tenant}`, as(LAB))).status).toBe(403)
        expect((await fetch(`${gateway.url}/management/audit?tenant=${tenant}`, as(LAB))).status).toBe(403)
      }
      expect((await fetch(`${gateway.url}/management/usage`, as(SHOP))).status).toBe(403)
    }))

  test('is of model calls alone', () =>
    withLedger(async gateway => {
      const body = JSON.stringify({ name: 'new' })
      const made = await fetch(`${gateway.url}/management/keys`, { ...as(ADMIN), method: 'POST', body })
      await (await gateway.chat({}, as(SHOP))).text()
      const lines = await until(
        () => usageOf(gateway, ADMIN, 'tenant=*&by=key'),
        found => found.length > 0,
      )

      expect(made.status).toBe(201)
      expect(lines.map(({ key, requests }) => [key, requests])).toEqual([['web', 1]])
    }))

  test('comes as CSV to whoever asks for it, and in pages', () =>
    withLedger(async gateway => {
      await (await gateway.chat({}, as(SHOP))).text()
      await (await gateway.chat({ max_tokens: 10 }, as(LAB))).text()
      await until(
        () => usageOf(gateway, ADMIN, 'tenant=*&by=tenant'),
        lines => lines.length === 2,
      )
      const url = `${gateway.url}/management/usage?tenant=*&by=tenant&limit=1`

      const page = 'http://localhost:5173'
      const first = await fetch(url, { headers: { ...as(ADMIN).headers, accept: 'text/csv', origin: page } })
      const second = await fetch(`${url}&format=csv&after=${first.headers.get('x-citadel-next')}`, as(ADMIN))
      const lines = (await first.text()).split('\r\n')

      expect(first.headers.get('content-type')).toStartWith('text/csv')
      expect(lines[0]).toStartWith('tenant,requests,input_tokens,')
      expect(lines[1]).toStartWith('lab,1,7,')
      expect(await second.text()).toContain('\r\nshop,1,7,')
      expect(second.headers.get('x-citadel-next')).toBeNull()
      expect(first.headers.get('access-control-expose-headers')).toContain('x-citadel-next')
    }))

  test.each([
    'from=2026-02-02&to=2026-02-01',
    'by=hour',
    'from=yesterday',
    'to=2027-13-01',
    'from=2026-02-30',
    'limit=0',
    'format=xml',
    'after=-1',
  ])('refuses %s', query =>
    withLedger(async gateway => {
      const response = await fetch(`${gateway.url}/management/usage?${query}`, as(ADMIN))

      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject({ error: { code: 'invalid_request', param: query.split('=')[0] } })
    }),
  )
})

describe('users and sessions', () => {
  const named = async (gateway: TestGateway, key: string, of: 'users' | 'sessions', query = '') => {
    const response = await fetch(`${gateway.url}/management/${of}?${query}`, as(key))
    return response.ok ? namedPage.parse(await response.json()).data : response.status
  }

  test('are told with what they used, within their key and tenant', () =>
    withLedger(async gateway => {
      const session = { headers: { ...as(SHOP).headers, 'x-citadel-session': 'talk' } }
      await (await gateway.chat({ user: 'ann' }, session)).text()
      await (await gateway.chat({ safety_identifier: 'ann', user: 'bob', stream: true }, session)).text()
      await (await gateway.chat({ user: 'ann', max_tokens: 10 }, as(LAB))).text()
      const byUser = await until(
        () => usageOf(gateway, ADMIN, 'tenant=*&by=tenant,user,session'),
        lines => lines.length === 2,
      )

      expect(byUser).toMatchObject([
        { tenant: 'lab', user: 'ann', session: null, requests: 1 },
        { tenant: 'shop', user: 'ann', session: 'talk', requests: 2 },
      ])
      expect(await named(gateway, ADMIN, 'users', 'tenant=shop')).toMatchObject([
        { id: 'ann', key: 'web', tenant: 'shop', requests: 2, tokens: 20 },
      ])
      expect(await named(gateway, ADMIN, 'sessions', 'tenant=*')).toMatchObject([{ id: 'talk', requests: 2 }])
      expect(await named(gateway, LAB, 'users')).toMatchObject([{ id: 'ann', tenant: 'lab', requests: 1 }])
      expect(await named(gateway, LAB, 'sessions')).toEqual([])
      expect(await named(gateway, LAB, 'users', 'tenant=shop')).toBe(403)
      expect(await named(gateway, SHOP, 'users')).toBe(403)
    }))
})

describe('a budget', () => {
  test('refuses what it cannot pay, until the month is over', () =>
    withLedger(async gateway => {
      // Each may need 100 tokens of 2 millionths, so the third one would go over 500 millionths.
      const calls = await Promise.all(Array.from({ length: 20 }, () => gateway.chat({ max_tokens: 100 }, as(LAB))))
      const refused = calls.find(({ status }) => status === 429)
      const body = await refused?.json()
      const wait = Number(refused?.headers.get('retry-after'))
      const end = new Date()
      const seconds = (Date.UTC(end.getUTCFullYear(), end.getUTCMonth() + 1, 1) - end.getTime()) / 1000

      expect(body).toMatchObject({ error: { code: 'budget_exceeded', type: 'rate_limit_error' } })
      expect(refused?.headers.get('x-should-retry')).toBe('false')
      expect(Math.abs(wait - seconds)).toBeLessThan(60)
      expect(calls.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(2)
    }))

  test('gives back what was held and not spent', () =>
    withLedger(async gateway => {
      // One at a time each is let in, though together they may need far more than there is.
      for (let call = 1; call <= 5; call++) {
        expect((await gateway.chat({ max_tokens: 200 }, as(LAB))).status).toBe(200)
        await until(
          () => usageOf(gateway, LAB, ''),
          ([line]) => line?.requests === call,
        )
      }
    }))

  test('passes over what is too dear for a cheaper one', () =>
    withLedger(
      async gateway => {
        const response = await gateway.chat({ max_tokens: 1000 }, as(LAB))

        expect(response.status).toBe(200)
        expect(response.headers.get('x-citadel-model')).toBe('cheap')
      },
      {
        models: {
          chat: {
            targets: [{ server: 'a', model: 'test-model', price: { input: 1, output: 2 } }],
            fallbacks: ['cheap'],
          },
          cheap: { targets: [{ server: 'a', model: 'other-model', price: { input: 0.01, output: 0.02 } }] },
        },
      },
    ))

  test('of a tenant is shared by its keys', () =>
    withLedger(
      async gateway => {
        expect((await gateway.chat({ max_tokens: 100 }, as(SHOP))).status).toBe(429)
        expect((await gateway.chat({ max_tokens: 100 }, as(LAB))).status).toBe(200)
      },
      { budgets: { per_tenant: { shop: { usd: 0.0001, per: 'day' } } } },
    ))
})

describe('the audit log', () => {
  test('has who was refused, who was limited, what failed and what was changed', async () => {
    await using broken = await startModelServer(json(500, { error: { message: 'no' } }))
    await withLedger(
      async gateway => {
        await gateway.chat({}, as('gw-unknown-0123456789'))
        await gateway.chat({}, as(SHOP))
        await gateway.chat({}, as(SHOP))
        await gateway.chat({ model: 'priced', max_tokens: 100_000 }, as(LAB))
        const made = await fetch(`${gateway.url}/management/keys`, {
          ...as(ADMIN),
          method: 'POST',
          body: JSON.stringify({ name: 'new' }),
        })
        const { id, key } = await made.json()
        const page = await until(
          () => auditOf(gateway, ADMIN, 'tenant=*&limit=1000'),
          ({ data }) => data.some(({ kind }) => kind === 'batch'),
        )
        const rows = page.data.map(({ kind, action, outcome, actor, code }) => [kind, action, outcome, actor, code])
        const of = (kind: string) => rows.filter(([each]) => each === kind)

        expect(of('authentication')).toContainEqual(['authentication', 'request', 'refused', null, 'invalid_api_key'])
        // Two calls of one key within a minute: told once.
        expect(of('authentication').filter(row => row[3] === 'web')).toHaveLength(1)
        expect(of('error')).toContainEqual(['error', 'request', 'failed', 'web', 'all_targets_failed'])
        expect(of('limit')).toEqual([['limit', 'request', 'refused', 'watch', 'budget_exceeded']])
        expect(page.data.find(({ kind }) => kind === 'administration')).toMatchObject({
          action: 'key-created',
          actor: 'admin',
          subject: id,
        })
        const written = JSON.stringify(page)
        for (const secret of [ADMIN, SHOP, LAB, SERVER_KEY, key]) expect(written).not.toContain(secret)
        expect(written).not.toContain('"Hi"')
      },
      {
        servers: [{ id: 'a', kind: 'openai_compatible', base_url: broken.url, api_key: SERVER_KEY }],
        models: {
          chat: { targets: [{ server: 'a', model: 'test-model' }] },
          priced: { targets: [{ server: 'a', model: 'dear', price: { input: 1, output: 2 } }] },
        },
      },
    )
  })

  test('is read in pages, the latest first, and by kind, actor and time', () =>
    withLedger(async gateway => {
      await (await gateway.chat({}, as(SHOP))).text()
      await gateway.chat({ max_tokens: 100_000 }, as(LAB))
      const { data } = await until(
        () => auditOf(gateway, ADMIN, 'tenant=*'),
        page => page.data.some(({ kind }) => kind === 'limit') && page.data.some(({ kind }) => kind === 'batch'),
      )
      const first = await auditOf(gateway, ADMIN, `tenant=*&limit=1&to=${data[0]?.at}`)

      const limits = await auditOf(gateway, ADMIN, 'tenant=*&kind=limit')
      const ofWeb = await auditOf(gateway, ADMIN, 'tenant=*&actor=web')
      const later = await auditOf(gateway, ADMIN, 'tenant=*&from=2100-01-01')
      const second = await auditOf(gateway, ADMIN, `tenant=*&limit=1&to=${data[0]?.at}&after=${first.next}`)

      expect(data.map(({ at }) => at)).toEqual(
        data
          .map(({ at }) => at)
          .toSorted()
          .toReversed(),
      )
      expect(limits.data.map(({ actor }) => actor)).toEqual(['watch'])
      expect(ofWeb.data.map(({ kind }) => kind)).toEqual(['authentication'])
      expect(later).toMatchObject({ data: [], next: null })
      expect(second.data[0]?.id).not.toBe(first.data[0]?.id)
      const zoned = await auditOf(gateway, ADMIN, `tenant=*&limit=1&from=2026-01-01T00:00:00+02:00`)
      expect(zoned.data).toHaveLength(1)
      const backwards = 'from=2026-02-02T00:00:00Z&to=2026-02-02T01:00:00%2B02:00'
      for (const wrong of ['kind=gossip', 'from=2026-02-30', 'to=2026-04-31T12:00:00Z', backwards]) {
        expect((await fetch(`${gateway.url}/management/audit?${wrong}`, as(ADMIN))).status).toBe(400)
      }
    }))

  test('has prompts and answers only when they are asked for, without secrets', () =>
    withLedger(
      async gateway => {
        const messages = [{ role: 'user', content: `my key is ${SERVER_KEY}, my other one sk-abcdefghijklmnopqrst` }]
        await (await gateway.chat({ messages, stream: true }, as(SHOP))).text()

        const { data } = await until(
          () => auditOf(gateway, ADMIN, 'tenant=*&kind=payload'),
          page => page.data.length === 1,
        )

        expect(data[0]?.detail).toMatchObject({ answer: 'Hello there!' })
        expect(String(data[0]?.detail.prompt)).toContain('my key is [redacted], my other one [redacted]')
      },
      { audit: { payloads: true } },
    ))
})

test('a prompt and an answer are kept of stored answers too', () =>
  withLedger(
    async gateway => {
      const forms = [{}, {}, { stream: true }, { stream: true, seed: 1 }, { seed: 1 }]
      const statuses: (string | null)[] = []
      for (const form of forms) {
        const response = await gateway.chat(form, as(SHOP))
        await response.text()
        statuses.push(response.headers.get('x-citadel-cache'))
      }

      const { data } = await until(
        () => auditOf(gateway, ADMIN, 'tenant=*&kind=payload'),
        page => page.data.length === forms.length,
      )

      expect(statuses).toEqual(['miss', 'hit', 'hit', 'miss', 'hit'])
      expect(data.map(({ detail }) => detail.answer)).toEqual(forms.map(() => 'Hello there!'))
    },
    { audit: { payloads: true }, cache: { enabled: true } },
  ))

/** The users that are written down, once there are any. */
async function usersOf({ url }: Pick<TestGateway, 'url'>) {
  const { data } = await until(
    async () => namedPage.parse(await (await fetch(`${url}/management/users`, as(ADMIN))).json()),
    page => page.data.length > 0,
  )
  return data
}

test('what begins with the first key that has a budget writes down whom its calls name', async () => {
  const folder = await ownFolder('citadel-late-')
  try {
    await using server = await startModelServer(openAiScript())
    await using gateway = await startGateway(configOf([server], { auth: { admin_keys: [ADMIN] } }), {
      env: { XDG_DATA_HOME: folder.path },
    })
    const body = JSON.stringify({ name: 'late', budget: { usd: 1, per: 'month' } })
    const made = await fetch(`${gateway.url}/management/keys`, { method: 'POST', body, ...as(ADMIN) })
    const { key } = await made.json()
    await (await gateway.chat({ user: 'ann' }, as(key))).text()

    expect(await usersOf(gateway)).toMatchObject([{ id: 'ann', requests: 1 }])
  } finally {
    await folder.remove()
  }
})

test('what runs as a service writes down what it does in the folder that the service has', async () => {
  const folder = await ownFolder('citadel-service-')
  try {
    await using server = await startModelServer(openAiScript())
    await using gateway = await startGateway(configOf([server], { auth: { admin_keys: [ADMIN] } }), {
      env: { STATE_DIRECTORY: folder.path },
    })
    await (await gateway.chat({ user: 'ann' }, as(ADMIN))).text()

    expect(await usersOf(gateway)).toMatchObject([{ id: 'ann', requests: 1 }])
  } finally {
    await folder.remove()
  }
})

test('nothing is written down where nobody has said where', async () => {
  const folder = await ownFolder('citadel-quiet-')
  try {
    await using server = await startModelServer(openAiScript())
    await using gateway = await startGateway(configOf([server]), { env: { XDG_DATA_HOME: folder.path } })
    await (await gateway.chat()).text()

    expect([...new Bun.Glob('**/*').scanSync({ cwd: folder.path, onlyFiles: false })]).toEqual([])
  } finally {
    await folder.remove()
  }
})
