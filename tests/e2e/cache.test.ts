import { describe, expect, test } from 'bun:test'
import { configOf, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'
import { cut, gate, inTurn, json, pause, type Script, sse } from '#tests/support/upstream.ts'

const on: Tree = { cache: { enabled: true } }

/** A gateway with the cache on in front of one scripted server. */
async function caching(script: Script, more: Tree = {}) {
  const server = await startModelServer(script)
  const gateway = await startGateway(configOf([server], { ...on, ...more }))
  return {
    server,
    gateway,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** The answer without what each replay has of its own. */
const contentOf = (body: { readonly id: string; readonly created: number }) => ({ ...body, id: '', created: 0 })
/** The events of a stream, `[DONE]` left out. */
const events = (text: string) => text.match(/data: \{.*\n\n/g) ?? []
const said = (text: string) => [...text.matchAll(/"content":"([^"]*)"/g)].map(([, content]) => content).join('')
const stripped = (text: string) =>
  text.replaceAll(/"id":"[^"]*"/g, '"id":""').replaceAll(/"created":\d+/g, '"created":0')

describe('a stored answer', () => {
  test('is given again to the same question, without asking a server', async () => {
    await using setup = await caching(openAiScript())
    const { gateway, server } = setup

    const first = await gateway.chat()
    const second = await gateway.chat()
    const [a, b] = [await first.json(), await second.json()]

    expect(server.calls).toHaveLength(1)
    expect(first.headers.get('x-citadel-cache')).toBe('miss')
    expect(first.headers.get('cache-status')).toBe('citadel; fwd=uri-miss')
    expect(second.headers.get('x-citadel-cache')).toBe('hit')
    expect(second.headers.get('cache-status')).toMatch(/^citadel; hit; ttl=3(?:600|599)$/)
    expect(second.headers.get('age')).toMatch(/^[01]$/)
    expect(contentOf(b)).toEqual(contentOf(a))
    expect(b.id).not.toBe(a.id)
  })

  test('has no times of a server that was not asked', async () => {
    await using setup = await caching(openAiScript(), { gateway: { discover: false, headers: 'full' } })
    const { gateway } = setup

    const first = await gateway.chat()
    const second = await gateway.chat()

    expect(Number(first.headers.get('x-citadel-overhead-ms'))).toBeGreaterThanOrEqual(0)
    expect(first.headers.get('server-timing')).toMatch(/^gateway;dur=\d+\.\d, upstream;dur=\d+\.\d$/)
    expect(second.headers.get('x-citadel-cache')).toBe('hit')
    expect([second.headers.get('x-citadel-overhead-ms'), second.headers.get('server-timing')]).toEqual([null, null])
  })

  test('keeps the chunks of a stream, each with the new id', async () => {
    await using setup = await caching(openAiScript())
    const { gateway, server } = setup

    const first = await (await gateway.chat({ stream: true })).text()
    const second = await (await gateway.chat({ stream: true })).text()

    expect(server.calls).toHaveLength(1)
    expect(stripped(second)).toBe(stripped(first))
    expect(second).not.toBe(first)
    expect(new Set(second.match(/"id":"[^"]*"/g)).size).toBe(1)
    expect(strictProblems(events(second))).toEqual([])
    expect(said(second)).toBe('Hello there!')
  })

  test('says how much of it was given where its pace takes longer than its caller waits', async () => {
    const [role = '', one = '', ...rest] = chatEvents('test-model')
    const script = sse([role, one, pause(2000), ...rest])
    await using setup = await caching(script, { cache: { enabled: true, keep_pace: true } })
    const { gateway } = setup
    await (await gateway.chat({ stream: true })).text()

    const hasty = await gateway.chat({ stream: true }, { headers: { 'x-citadel-timeout-ms': '100' } })
    const text = await hasty.text()

    expect([hasty.headers.get('x-citadel-cache'), said(text)]).toEqual(['hit', 'Hello'])
    expect(text).toContain('"code":"deadline_exceeded","delivered_chars":5}')
  })

  test('of a stream serves a plain caller', async () => {
    await using setup = await caching(openAiScript())
    const { gateway, server } = setup
    await (await gateway.chat({ stream: true })).text()

    const plain = await gateway.chat()

    expect(plain.headers.get('x-citadel-cache')).toBe('hit')
    expect(server.calls).toHaveLength(1)
    expect(contentOf(await plain.json())).toEqual(
      contentOf(chatCompletion('test-model') as { id: string; created: number }),
    )
  })

  test('of a plain call serves a streaming caller, counted when that was asked for', async () => {
    await using setup = await caching(openAiScript())
    const { gateway, server } = setup
    await (await gateway.chat()).text()

    const bare = await (await gateway.chat({ stream: true })).text()
    const counted = await (await gateway.chat({ stream: true, stream_options: { include_usage: true } })).text()

    expect(server.calls).toHaveLength(1)
    expect(strictProblems(events(bare))).toEqual([])
    expect(strictProblems(events(counted), { usage: true })).toEqual([])
    expect([said(bare), said(counted)]).toEqual(['Hello there!', 'Hello there!'])
    expect(bare.endsWith('data: [DONE]\n\n') && counted.endsWith('data: [DONE]\n\n')).toBe(true)
    expect([bare, counted].map(text => text.includes('"total_tokens":10'))).toEqual([false, true])
  })

  test('of a stream without a count serves one with it, and the other way round', async () => {
    const counted = { stream: true, stream_options: { include_usage: true } }
    for (const [one, other] of [
      [{ stream: true }, counted],
      [counted, { stream: true }],
    ]) {
      await using setup = await caching(openAiScript())
      const { gateway, server } = setup
      await (await gateway.chat(one)).text()

      const text = await (await gateway.chat(other)).text()

      expect(server.calls).toHaveLength(1)
      const isCounted = other === counted
      expect(text.includes('"total_tokens":10')).toBe(isCounted)
      const chunks = events(text).filter(event => event.includes('"delta"'))
      expect(strictProblems(events(text), { usage: isCounted })).toEqual([])
      expect(chunks.every(event => event.includes('"usage":null') === isCounted)).toBe(true)
    }
  })

  test('is logged as a hit that nobody pays for', async () => {
    await using setup = await caching(openAiScript())
    const { gateway } = setup
    await gateway.chat()
    const response = await gateway.chat()
    const id = response.headers.get('x-request-id')
    await response.text()

    const report = await (await fetch(`${gateway.url}/v1/requests/${id}`)).json()

    expect(report).toMatchObject({ outcome: 'hit', attempts: [], usage: { input: 7, output: 3 }, content_chars: 12 })
  })
})

describe('what is never stored', () => {
  const cases: readonly (readonly [name: string, script: Script, body: object])[] = [
    ['a filtered answer', openAiScript({ finishReason: 'content_filter' }), {}],
    ['a filtered stream', openAiScript({ finishReason: 'content_filter' }), { stream: true }],
    ['an answer cut off by a limit', openAiScript({ finishReason: 'length' }), { max_tokens: 3 }],
    ['an interrupted stream', sse([...chatEvents('test-model').slice(0, 3), cut()]), { stream: true }],
    ['an error', json(400, { error: { message: 'no', type: 'invalid_request_error' } }), {}],
    ['an error inside a stream', sse([...chatEvents('m').slice(0, 2), { error: { message: 'no' } }]), { stream: true }],
    ['a stream with an unreadable event', sse(['{"broken', ...chatEvents('test-model')]), { stream: true }],
    ['an answer that the server stores', openAiScript(), { store: true }],
    ['an answer that must not be', openAiScript(), { cache: false }],
  ]

  for (const [name, script, body] of cases) {
    test(name, async () => {
      await using setup = await caching(script, { retry: { max_attempts: 1 } })
      const { gateway, server } = setup

      await (await gateway.chat(body)).text()
      const again = await gateway.chat(body)

      expect(again.headers.get('x-citadel-cache')).not.toBe('hit')
      await again.text()
      expect(server.calls).toHaveLength(2)
    })
  }

  test('an answer of a fallback model', async () => {
    await using setup = await caching(openAiScript())
    const { server } = setup
    await using broken = await startModelServer(json(500, { error: { message: 'down' } }))
    await using gateway = await startGateway({
      ...on,
      servers: [
        { id: 'a', kind: 'openai_compatible', base_url: broken.url },
        { id: 'b', kind: 'openai_compatible', base_url: server.url },
      ],
      models: {
        chat: { targets: [{ server: 'a' }], fallbacks: ['spare'] },
        spare: { targets: [{ server: 'b' }] },
      },
    })

    await (await gateway.chat()).text()
    const again = await gateway.chat()

    expect(again.headers.get('x-citadel-cache')).toBe('miss')
    expect(again.headers.get('x-citadel-model')).toBe('spare')
  })

  test('`cache` reaches no server', async () => {
    await using setup = await caching(openAiScript())
    const { gateway, server } = setup
    await (await gateway.chat({ cache: false })).text()

    expect(server.calls[0]?.json()).not.toHaveProperty('cache')
    expect((await gateway.chat({ cache: 'no' })).status).toBe(400)
  })
})

describe('an answer that broke off and was recovered', () => {
  const head = 'The first half of this answer is long enough that another server can go on from it'
  const tail = ', and this is its end.'

  /** The first server breaks off behind the head; says what the cache does with the next equal call. */
  async function afterRecovery(next: Script, prefill: boolean) {
    const [role = '', first = ''] = chatEvents('test-model', { deltas: [head, tail] })
    await using broken = await startModelServer(sse([role, first, cut()]))
    await using sound = await startModelServer(next)
    const target = (server: string) => ({ server, model: 'test-model' })
    const models = { chat: { targets: [target('a'), target('b')], capabilities: { prefill } } }
    await using gateway = await startGateway(configOf([broken, sound], { ...on, models }))
    const text = await (await gateway.chat({ stream: true })).text()
    const again = await gateway.chat({ stream: true })
    await again.text()
    return { said: said(text), line: await gateway.logged({ outcome: 'recovered' }), status: statusOf(again) }
  }

  const statusOf = (response: Response) => response.headers.get('x-citadel-cache')

  test('is stored when the other server said the same from the beginning', async () => {
    const { said, status } = await afterRecovery(openAiScript({ deltas: [head, tail] }), false)

    expect([said, status]).toEqual([head + tail, 'hit'])
  })

  test('is not stored when the other server was given its beginning', async () => {
    const { said, status } = await afterRecovery(openAiScript({ deltas: [tail] }), true)

    expect([said, status]).toEqual([head + tail, 'miss'])
  })
})

describe('the directives of a request', () => {
  const control = (value: string) => ({ headers: { 'cache-control': value } })

  test('no-cache asks a server and stores what it says', async () => {
    await using setup = await caching(
      inTurn(openAiScript({ deltas: ['old'] }), openAiScript({ deltas: ['new'] }), openAiScript({ deltas: ['none'] })),
    )
    const { gateway } = setup
    await (await gateway.chat()).text()

    const fresh = await gateway.chat({}, control('no-cache'))
    const after = await gateway.chat()

    expect(fresh.headers.get('x-citadel-cache')).toBe('bypass')
    expect(fresh.headers.get('cache-status')).toBe('citadel; fwd=request')
    expect(await fresh.text()).toContain('new')
    expect(after.headers.get('x-citadel-cache')).toBe('hit')
    expect(await after.text()).toContain('new')
  })

  test('no-store neither reads nor writes', async () => {
    await using setup = await caching(openAiScript())
    const { gateway, server } = setup

    await (await gateway.chat({}, control('no-store'))).text()
    await (await gateway.chat()).text()
    await (await gateway.chat({}, control('no-store'))).text()

    expect(server.calls).toHaveLength(3)
  })

  test('only-if-cached never asks a server', async () => {
    await using setup = await caching(openAiScript())
    const { gateway, server } = setup

    const empty = await gateway.chat({}, control('Only-If-Cached'))
    await (await gateway.chat()).text()
    const full = await gateway.chat({}, control('only-if-cached'))

    expect(empty.status).toBe(504)
    expect((await empty.json()).error.code).toBe('only_if_cached')
    expect(full.status).toBe(200)
    expect(server.calls).toHaveLength(1)
  })
})

describe('who may share', () => {
  const keys = [
    { name: 'web', key: 'sk-web-0123456789', tenant: 'shop' },
    { name: 'app', key: 'sk-app-0123456789', tenant: 'shop' },
    { name: 'limited', key: 'sk-limited-0123456789', tenant: 'shop', models: ['chat'] },
    { name: 'other', key: 'sk-other-0123456789', tenant: 'bank' },
    { name: 'private', key: 'sk-private-0123456789', tenant: 'shop', cache: false },
  ]
  const as = (name: string) => ({ headers: { authorization: `Bearer sk-${name}-0123456789` } })

  async function statuses(scope: string, names: readonly string[]) {
    await using setup = await caching(openAiScript(), { cache: { enabled: true, scope }, auth: { keys } })
    const found: (string | null)[] = []
    for (const name of names) {
      const response = await setup.gateway.chat({}, as(name))
      await response.text()
      found.push(response.headers.get('x-citadel-cache'))
    }
    return found
  }

  test('a key shares with itself alone', async () => {
    expect(await statuses('key', ['web', 'app', 'other', 'web'])).toEqual(['miss', 'miss', 'miss', 'hit'])
  })

  test('a tenant shares among keys with the same rights', async () => {
    expect(await statuses('tenant', ['web', 'app', 'limited', 'other'])).toEqual(['miss', 'hit', 'miss', 'miss'])
  })

  test('nobody gets the answer to another reading of a body in which a member occurs twice', async () => {
    // The server reads the first one.
    const script = inTurn(openAiScript({ deltas: ['A'] }), openAiScript({ deltas: ['B'] }))
    await using setup = await caching(script, { cache: { enabled: true, scope: 'tenant' }, auth: { keys } })
    const body = '{"model":"chat","messages":[{"role":"user","content":"A","content":"B"}]}'

    const doubled = await setup.gateway.chat({}, { ...as('web'), body })
    const plain = await setup.gateway.chat({ messages: [{ role: 'user', content: 'B' }] }, as('app'))

    expect((await doubled.json()).choices[0].message.content).toBe('A')
    expect((await plain.json()).choices[0].message.content).toBe('B')
  })

  test('a key may be kept out', async () => {
    expect(await statuses('tenant', ['private', 'private', 'web'])).toEqual(['bypass', 'bypass', 'miss'])
  })

  test('a model may be kept out', async () => {
    await using server = await startModelServer(openAiScript())
    const target = { targets: [{ server: 'a', model: 'test-model' }] }
    await using gateway = await startGateway(
      configOf([server], { ...on, models: { chat: { ...target, cache: false }, other: target } }),
    )
    for (const model of ['chat', 'chat', 'other', 'other']) await (await gateway.chat({ model })).text()

    expect(server.calls).toHaveLength(3)
  })

  test('only what is deterministic, where that is asked for', async () => {
    await using setup = await caching(openAiScript(), { cache: { enabled: true, only_deterministic: true } })
    const { gateway, server } = setup
    for (const body of [{}, {}, { temperature: 0 }, { temperature: 0 }, { seed: 1 }, { seed: 1 }]) {
      await (await gateway.chat(body)).text()
    }

    expect(server.calls).toHaveLength(4)
  })
})

test('a cache that is off says nothing', async () => {
  await using server = await startModelServer(openAiScript())
  await using gateway = await startGateway(configOf([server]))
  await (await gateway.chat()).text()
  const response = await gateway.chat()

  expect(response.headers.get('x-citadel-cache')).toBeNull()
  expect(response.headers.get('cache-status')).toBeNull()
  expect(server.calls).toHaveLength(2)
})

test('a cache that is off has no answer for who wants nothing but a stored one', async () => {
  await using server = await startModelServer(openAiScript())
  await using gateway = await startGateway(configOf([server]))
  const response = await gateway.chat({}, { headers: { 'cache-control': 'only-if-cached' } })

  expect(response.status).toBe(504)
  expect((await response.json()).error.code).toBe('only_if_cached')
  expect(server.calls).toHaveLength(0)
})

test.each([false, true])(
  'who asks after the cache was cleared waits for no answer that was under way (stream: %s)',
  async stream => {
    const [begin = '', hello = '', ...rest] = chatEvents('test-model')
    const middle = gate()
    const held = stream ? sse([begin, hello, middle, ...rest]) : [middle, json(200, chatCompletion('test-model'))]
    const auth = { mode: 'none', admin_keys: ['sk-of-the-admin'] }
    await using setup = await caching(inTurn(held, openAiScript({ deltas: ['Anew'] })), { auth })
    const { gateway, server } = setup
    const before = gateway.chat({ stream })
    await server.called(1)
    await middle.reached

    const headers = { authorization: 'Bearer sk-of-the-admin' }
    await fetch(`${gateway.url}/management/cache/clear`, { method: 'POST', headers })
    const after = gateway.chat({ stream }).then(response => response.text())
    await server.called(2)
    middle.open()

    expect(await (await before).text()).toContain('Hello')
    expect(await after).toContain('Anew')
  },
)

test.each([false, true])(
  'an answer that was under way when the cache was cleared is not stored (stream: %s)',
  async stream => {
    const [begin, ...rest] = chatEvents('test-model')
    const middle = gate()
    const held = stream ? sse([begin ?? '', middle, ...rest]) : [middle, json(200, chatCompletion('test-model'))]
    const auth = { mode: 'none', admin_keys: ['sk-of-the-admin'] }
    await using setup = await caching(inTurn(held, openAiScript()), { auth })
    const { gateway, server } = setup
    const before = gateway.chat({ stream })
    await server.called(1)

    const headers = { authorization: 'Bearer sk-of-the-admin' }
    const cleared = await fetch(`${gateway.url}/management/cache/clear`, { method: 'POST', headers })
    middle.open()
    await (await before).text()
    const after = await gateway.chat({ stream })

    expect(cleared.status).toBe(200)
    expect(after.headers.get('x-citadel-cache')).toBe('miss')
    expect(await after.text()).toContain('Hello')
    expect((await gateway.chat({ stream })).headers.get('x-citadel-cache')).toBe('hit')
  },
)
