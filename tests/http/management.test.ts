import { describe, expect, test } from 'bun:test'
import { configFrom } from '#src/index.ts'
import { configValues } from '#wire/management.ts'
import { ADMIN_KEY, ADMINISTERED, AS_ADMIN, type Edge, edgeOf } from './edge.ts'

async function entriesOf(edge: Edge) {
  const answer = await edge.ask('/management/config', { headers: AS_ADMIN })
  const { data } = configValues.parse(await answer.json())
  return new Map(data.map(({ key, value, origin }) => [key, { value, origin }]))
}

describe('the configuration that is shown', () => {
  test('has every value, and where it was written', async () => {
    const edge = await edgeOf(ADMINISTERED, { origins: new Map([['auth.mode', 'gateway.yaml:3:9']]) })

    const entries = await entriesOf(edge)

    expect(entries.get('auth.mode')).toEqual({ value: 'none', origin: 'gateway.yaml:3:9' })
    expect(entries.get('service.port')).toEqual({ value: 8000, origin: 'default' })
    expect(entries.get('timeouts.connect')).toEqual({ value: 10_000, origin: 'default' })
    expect(entries.get('cache.enabled')?.value).toBe(false)
  })

  test('has no secret, long or short', async () => {
    const secrets = [
      'sk-of-a-caller',
      'abc',
      'pass-word',
      'whsec_AAAA',
      'hook-secret',
      'gpu-secret',
      'upper-key',
      'h-secret',
    ]
    const [key, short, password, inbound, outbound, credential, upper, header] = secrets as [string, ...string[]]
    const edge = await edgeOf({
      ...ADMINISTERED,
      auth: { admin_keys: [ADMIN_KEY], keys: [{ name: 'a', key }] },
      servers: [{ id: 's', kind: 'openai', api_key: short ?? '', headers: { 'x-secret': header ?? '' } }],
      redis: { url: `redis://user:${password}@127.0.0.1:1` },
      webhooks: { secrets: { deploy: inbound ?? '' }, deliver: [{ url: 'http://h', secret: outbound ?? '' }] },
      orchestration: {
        credentials: { gpu: credential ?? '' },
        register_with: [{ url: 'http://g', api_key: upper ?? '' }],
      },
    })

    const text = JSON.stringify([...(await entriesOf(edge))])

    for (const secret of [...secrets, ADMIN_KEY]) expect(text, secret).not.toContain(`"${secret}"`)
    expect(text).not.toContain('pass-word')
    expect(text).toContain('[redacted]')
  })

  test('says nothing of the keys, limits and budgets of other tenants', async () => {
    const usd = { usd: 5 }
    const edge = await edgeOf({
      auth: {
        mode: 'none',
        keys: [
          { name: 'other-web', key: 'sk-of-the-other-one', tenant: 'other' },
          { name: 'shop-head', key: 'sk-of-the-head-of-shop', tenant: 'shop', role: 'viewer' },
          { name: 'watcher', key: 'sk-of-a-watcher', role: 'viewer' },
        ],
      },
      limits: { per_tenant: { other: { requests_per_day: 7 }, shop: { requests_per_day: 8 }, '*': {} } },
      budgets: { per_tenant: { other: usd, shop: usd, '*': usd } },
    })
    const keysFor = async (key: string) => {
      const answer = await edge.ask('/management/config', { headers: { authorization: `Bearer ${key}` } })
      return configValues.parse(await answer.json()).data.map(entry => entry.key)
    }

    const [seen, all] = [await keysFor('sk-of-the-head-of-shop'), await keysFor('sk-of-a-watcher')]

    expect(seen.filter(key => /^auth\.keys.*name$/.test(key))).toEqual(['auth.keys.1.name'])
    expect(all.filter(key => /^auth\.keys.*name$/.test(key))).toHaveLength(3)
    for (const part of ['limits', 'budgets']) {
      expect(seen.filter(key => key.startsWith(`${part}.per_tenant.other`))).toEqual([])
      expect(seen.filter(key => key.startsWith(`${part}.per_tenant.shop`))).not.toEqual([])
      expect(seen.filter(key => key.startsWith(`${part}.per_tenant.*`))).not.toEqual([])
      expect(all.filter(key => key.startsWith(`${part}.per_tenant.other`))).not.toEqual([])
    }
  })

  test('shows of an address that events go to only where it is: what is behind that may be its password', async () => {
    const urls = [
      'https://hooks.example.com/services/T0/B0/of-a-channel',
      'https://plain.example.com:8443',
      'https://hooks.example.com?sig=of-a-channel',
    ]
    const deliver = urls.map(url => ({ url }))
    const edge = await edgeOf({ ...ADMINISTERED, webhooks: { ...ADMINISTERED.webhooks, deliver } })

    const entries = await entriesOf(edge)

    expect([0, 1, 2].map(n => entries.get(`webhooks.deliver.${n}.url`)?.value)).toEqual([
      'https://hooks.example.com/[redacted]',
      'https://plain.example.com:8443',
      'https://hooks.example.com/[redacted]',
    ])
  })

  test('is the one that was taken over last', async () => {
    const edge = await edgeOf(ADMINISTERED)

    edge.gateway.reload(
      configFrom({ ...ADMINISTERED, retry: { max_attempts: 7 } }),
      new Map([['retry.max_attempts', 'gateway.yaml:9:3']]),
    )

    expect((await entriesOf(edge)).get('retry.max_attempts')).toEqual({ value: 7, origin: 'gateway.yaml:9:3' })
  })
})

test('a gateway without files has nothing to read again', async () => {
  const edge = await edgeOf(ADMINISTERED, { reload: undefined })

  const answer = await edge.ask('/management/config/reload', { method: 'POST', headers: AS_ADMIN })

  expect(answer.status).toBe(409)
})
