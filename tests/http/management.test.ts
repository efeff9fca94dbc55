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
