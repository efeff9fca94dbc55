import { describe, expect, test } from 'bun:test'
import type { ConfigInput } from '#config/schema.ts'
import type { Transport } from '#providers/transport.ts'
import { METRICS_ALWAYS, parseExposition } from '#tests/support/exposition.ts'
import { chatCompletion } from '#tests/support/openai-upstream.ts'
import { type Edge, edgeOf } from './edge.ts'

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

const config: ConfigInput = {
  gateway: { demo: false, discover: false },
  servers: [
    { id: 'llm', kind: 'openai_compatible', base_url: 'http://llm.test', api_key: 'canary-of-the-server' },
    { id: 'down', kind: 'openai_compatible', base_url: 'http://down.test' },
  ],
  models: {
    chat: { targets: [{ server: 'llm', model: 'upstream-name' }], aliases: ['chat-alias'] },
    lost: { targets: [{ server: 'down' }] },
  },
}

/** One server that answers everything, and one that says what it was sent and refuses. */
const transport: Transport = async outgoing => {
  if (outgoing.url.includes('down.test')) throw new TypeError(`refused ${JSON.stringify(outgoing)}`)
  return {
    head: { status: 200, header: () => 'application/json' },
    read: async () => null,
    text: async () => JSON.stringify(chatCompletion('upstream-name')),
    close() {},
  } as unknown as Awaited<ReturnType<Transport>>
}

const bodyFor = (model: string) => ({ model, messages: [{ role: 'user', content: 'canary-of-the-prompt' }] })

async function metricsOf(edge: Edge): Promise<{ text: string; samples: ReadonlyMap<string, number> }> {
  const text = await (await edge.ask('/metrics')).text()
  return { text, samples: parseExposition(text) }
}

describe('the metrics', () => {
  const always = [...METRICS_ALWAYS, 'process_resident_memory_bytes', 'process_cpu_seconds_total']

  test.each(always)('contain %s from the start, with its type and help', async name => {
    const edge = await edgeOf(config, { transport })

    const { text } = await metricsOf(edge)

    expect(text).toContain(`# TYPE ${name} `)
    expect(text).toContain(`# HELP ${name} `)
  })

  test('count a call with the names of the configuration', async () => {
    const edge = await edgeOf(config, { transport })
    await edge.pass(1000)
    await edge.chat({ body: bodyFor('chat-alias') })

    const { samples } = await metricsOf(edge)

    const own = Object.fromEntries(
      [...samples].filter(([name]) => /^(gateway_(requests|attempts|tokens)_|http_requests_total)/.test(name)),
    )
    expect(own).toEqual({
      'gateway_requests_total{model="chat",server="llm",status="200",stream="false"}': 1,
      'gateway_attempts_total{server="llm",result="ok"}': 1,
      'gateway_tokens_total{server="llm",model="chat",type="input"}': 7,
      'gateway_tokens_total{server="llm",model="chat",type="output"}': 3,
      'http_requests_total{method="POST",route="/v1/chat/completions",status="200"}': 1,
    })
    expect(samples.get('gateway_server_up{server="llm"}')).toBe(1)
    expect(samples.get('http_requests_in_flight')).toBe(1)
    expect(samples.get('http_request_duration_seconds_count{method="POST",route="/v1/chat/completions"}')).toBe(1)
  })

  test('make no label of what callers write', async () => {
    const edge = await edgeOf(config, { transport })
    for (let at = 0; at < 20; at++) {
      await edge.ask(`/canary-path-${at}`, { method: at % 2 === 0 ? 'GET' : 'POST' })
      await edge.ask(`/v1/models/canary-model-${at}`)
      await edge.chat({ body: bodyFor(`canary-model-${at}`), headers: { 'x-citadel-server': `canary-server-${at}` } })
    }

    const { text, samples } = await metricsOf(edge)

    expect(text).not.toContain('canary')
    expect([...samples.keys()].filter(name => name.startsWith('http_requests_total')).length).toBeLessThan(8)
  })

  test('are in the form that Prometheus reads, at both paths', async () => {
    const edge = await edgeOf(config, { transport })

    for (const path of ['/metrics', '/v1/metrics', '/metrics/']) {
      const response = await edge.ask(path)

      expect(response.headers.get('content-type')).toStartWith('text/plain; version=0.0.4')
      expect(parseExposition(await response.text()).get('workers_active')).toBe(1)
    }
  })

  test('are the same without a route of their own', async () => {
    const edge = await edgeOf(config, { transport })

    const { text, contentType } = await edge.gateway.metrics()

    expect(contentType).toStartWith('text/plain')
    expect(parseExposition(text).get('gateway_config_last_reload_successful')).toBe(1)
  })

  test('say whether the last reload worked', async () => {
    const edge = await edgeOf(config, { transport })

    edge.gateway.reloadFailed('gateway.yaml:3:5  models: expected a map')

    expect((await metricsOf(edge)).samples.get('gateway_config_last_reload_successful')).toBe(0)
  })
})

describe('the id of a request', () => {
  test('is always the gateway’s own, and rises with time', async () => {
    const edge = await edgeOf()
    const ids: string[] = []
    for (const path of ['/v1/models', '/gone', '/health', '/docs', '/v1/models']) {
      ids.push((await edge.ask(path, { headers: { 'x-request-id': 'mine' } })).headers.get('x-request-id') ?? '')
      await edge.pass(1)
    }

    for (const id of ids) expect(id).toMatch(UUID_V7)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.toSorted()).toEqual(ids)
  })

  test('stands in the log beside the one that the caller sent', async () => {
    const edge = await edgeOf()
    const response = await edge.chat({ headers: { 'x-request-id': 'mine-42' } })

    const line = (await edge.log()).map(each => JSON.parse(each)).find(each => each.message === 'request')

    expect(line).toMatchObject({
      request_id: response.headers.get('x-request-id'),
      caller_request_id: 'mine-42',
    })
  })
})

describe('the log', () => {
  test('has one JSON line for each request', async () => {
    const edge = await edgeOf(config, { transport })
    await edge.chat({ body: bodyFor('chat') })
    await edge.chat({ body: 'not json' })
    await edge.ask('/gone\u2028?key=canary-in-the-query')
    await edge.ask('/health', { method: 'HEAD' })

    const lines = (await edge.log()).map(line => JSON.parse(line)).filter(line => line.message === 'request')

    expect(lines).toMatchObject([
      { method: 'POST', route: '/v1/chat/completions', status: 200, code: null, outcome: 'ok' },
      { method: 'POST', route: '/v1/chat/completions', status: 400, code: 'invalid_json', outcome: 'denied' },
      { method: 'GET', status: 404, code: 'not_found', outcome: 'denied' },
      { method: 'HEAD', path: '/health', status: 200, outcome: 'ok' },
    ])
  })

  test('says of a call who asked whom for what, and how it went', async () => {
    const edge = await edgeOf(config, { transport })
    await edge.pass(1)
    await edge.chat({ body: bodyFor('chat-alias'), from: '203.0.113.9', headers: { 'x-forwarded-for': '192.0.2.1' } })

    const line = (await edge.log()).map(each => JSON.parse(each)).find(each => each.message === 'request')

    expect(line).toMatchObject({
      time: expect.stringMatching(/^2026-01-01T/),
      level: 'info',
      service: 'citadel-gateway',
      model: 'chat',
      server: 'llm',
      upstream_model: 'upstream-name',
      stream: false,
      attempts: 1,
      tokens_in: 7,
      tokens_out: 3,
      caller: 'anonymous',
      tenant: 'default',
      client: '203.0.113.9',
    })
    expect(line.duration_ms).toBeNumber()
    expect(line.overhead_ms).toBeNumber()
  })
})

describe('secrets', () => {
  const secret: ConfigInput = {
    ...config,
    service: { secret: 'canary-of-the-service' },
    servers: [
      {
        id: 'llm',
        kind: 'openai_compatible',
        base_url: 'http://llm.test',
        api_keys: ['canary-of-the-server', 'canary-of-the-server-2'],
        headers: { 'x-secret': 'canary-of-a-header' },
      },
      { id: 'down', kind: 'openai_compatible', base_url: 'http://down.test', api_key: 'canary-of-the-other' },
    ],
    auth: {
      mode: 'required',
      keys: [{ name: 'app', key: 'canary-of-a-key', role: 'viewer' }],
      admin_keys: ['canary-of-the-admin'],
    },
    redis: { url: 'redis://user:canary-of-redis@127.0.0.1' },
    database: { url: 'postgres://user:canary-of-sql@127.0.0.1/citadel' },
    webhooks: {
      secrets: { server_status: 'canary-of-a-webhook' },
      deliver: [{ url: 'https://hooks.test', secret: 'canary-of-a-delivery' }],
    },
    monitoring: { log_level: 'debug' },
  }

  test('appear in no log line, metric or answer', async () => {
    const edge = await edgeOf(secret, { transport })
    await edge.pass(3000)
    const seen: string[] = []
    const keep = async (response: Response) => {
      const headers = [...response.headers].join('\n')
      seen.push(`${headers}\n${await response.text()}`)
    }
    const own = { authorization: 'Bearer canary-of-a-key' }
    for (const path of [
      '/health',
      '/health/detailed',
      '/models/status',
      '/v1/providers',
      '/v1/models',
      '/readyz',
      '/',
      '/openapi.json',
      '/schema.json',
      '/metrics',
      '/docs',
      '/gone/canary-of-a-key',
      '/v1/models/canary-of-a-key',
    ])
      await keep(await edge.ask(path, { headers: own }))
    for (const model of ['chat', 'lost', 'unknown']) await keep(await edge.chat({ body: bodyFor(model), headers: own }))
    for (const authorization of [
      'Bearer canary-of-a-stranger',
      'Basic canary-of-a-stranger',
      'Bearer canary-of-a-key x',
    ])
      await keep(await edge.chat({ headers: { authorization } }))
    await keep(await edge.chat({ headers: { 'x-api-key': 'canary-of-a-stranger' } }))
    edge.gateway.fail('a failure', new Error('with canary-of-the-admin in it'))
    edge.gateway.warn('a warning with canary-of-the-service in it')

    const log = (await edge.log()).join('\n')

    const canaries = /canary-of-(?!the-prompt)[a-z0-9-]+/g
    expect(log.match(canaries) ?? []).toEqual([])
    expect(log).not.toContain('canary-of-the-prompt')
    // A caller may read back the path that it wrote itself, and nothing else.
    const others = seen.map(text => text.replaceAll(/(?:\/gone\/|The model \\?")canary-of-a-key/g, ''))
    expect(others.join('\n').match(canaries) ?? []).toEqual([])
  })

  test('of a new configuration are hidden as well', async () => {
    const { configFrom } = await import('#src/index.ts')
    const edge = await edgeOf()
    edge.gateway.reload(configFrom({ auth: { keys: [{ name: 'a', key: 'canary-of-later' }] } }))

    await edge.ask('/gone/canary-of-later')

    expect((await edge.log()).join('\n')).not.toContain('canary-of-later')
  })

  test('of a caller do not go upstream', async () => {
    const sent: unknown[] = []
    const edge = await edgeOf(config, {
      transport: async (outgoing, ...rest) => {
        sent.push(outgoing)
        return transport(outgoing, ...rest)
      },
    })

    await edge.chat({
      body: bodyFor('chat'),
      headers: {
        authorization: 'Bearer canary-of-the-caller',
        cookie: 'canary-of-a-cookie',
        'x-api-key': 'canary-of-the-caller',
      },
    })

    const text = JSON.stringify(sent)
    expect(text).toContain('Bearer canary-of-the-server')
    expect(text).not.toContain('canary-of-the-caller')
    expect(text).not.toContain('canary-of-a-cookie')
  })
})
