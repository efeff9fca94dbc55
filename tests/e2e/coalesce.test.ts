import { describe, expect, test } from 'bun:test'
import {
  configOf,
  configWithFallback,
  startGateway,
  startModelServer,
  type TestGateway,
  type Tree,
} from '#tests/support/gateway.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { rawStream } from '#tests/support/raw-chat.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { until } from '#tests/support/until.ts'
import { cut, gate, hang, inTurn, json, type Script, type Steps, sse } from '#tests/support/upstream.ts'
import { stats } from '#wire/stats.ts'
import { usagePage } from '#wire/usage-report.ts'

async function caching(script: Script, more: Tree = {}) {
  const server = await startModelServer(script)
  const gateway = await startGateway(configOf([server], { cache: { enabled: true }, ...more }))
  return {
    server,
    gateway,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

const stream = { stream: true }
const [role = '', one = '', two = '', ...rest] = chatEvents('test-model')

/** A stream that stands at the gate after its first piece. */
function halting() {
  const middle = gate()
  return { middle, script: sse([role, one, middle, two, ...rest]) satisfies Steps }
}

const statusOf = (response: Response) => response.headers.get('x-citadel-cache')

describe('equal calls at the same time', () => {
  test('share one answer, and who comes late gets it from the beginning', async () => {
    const { middle, script } = halting()
    await using setup = await caching(script)
    const { gateway, server } = setup
    const first = await gateway.chat(stream)
    await middle.reached

    const late = await gateway.chat(stream)
    middle.open()
    const texts = await Promise.all([first.text(), late.text()])

    expect([statusOf(first), statusOf(late)]).toEqual(['miss', 'coalesced'])
    expect(late.headers.get('cache-status')).toBe('citadel; fwd=uri-miss; collapsed')
    expect(texts[1]).toBe(texts[0])
    expect(texts[1]).toContain('[DONE]')
    expect(server.calls).toHaveLength(1)
  })

  test('are paid for once, and what the others saved is counted', async () => {
    const middle = gate()
    const [beginning = '', ...end] = chatEvents('test-model', {}, true)
    await using setup = await caching(sse([beginning, one, middle, ...end.slice(1)]), {
      models: { chat: { targets: [{ server: 'a', model: 'test-model', price: { input: 1, output: 2 } }] } },
    })
    const { gateway } = setup
    const first = await gateway.chat(stream)
    await middle.reached
    const late = await gateway.chat(stream)
    middle.open()
    await Promise.all([first.text(), late.text()])
    const reports = [first, late].map(async each =>
      (await fetch(`${gateway.url}/v1/requests/${each.headers.get('x-request-id')}`)).json(),
    )
    const [paid, saved] = await Promise.all(reports)

    expect(paid.cost_usd).toBeGreaterThan(0)
    expect([paid.saved_usd, saved.cost_usd, saved.saved_usd]).toEqual([0, 0, paid.cost_usd])
  })

  test('plain and streamed ones share too, each in its own form', async () => {
    for (const [form, other] of [
      [{}, stream],
      [stream, {}],
    ]) {
      const answer = gate()
      const ready = openAiScript()
      await using setup = await caching(async request => [
        answer,
        typeof ready === 'function' ? await ready(request) : ready,
      ])
      const { gateway, server } = setup
      const first = gateway.chat(form)
      await server.called(1)
      const second = gateway.chat(other)
      // Another question that reaches the server shows that the second one has had its turn.
      const marker = gateway.chat({ user: 'u', seed: 1 })
      await server.called(2)
      answer.open()

      const [a, b] = await Promise.all([first, second])
      const plain = await (form === stream ? b : a).json()
      const streamed = await (form === stream ? a : b).text()
      await (await marker).text()

      expect([statusOf(a), statusOf(b)]).toEqual(['miss', 'coalesced'])
      expect(plain.choices[0].message.content).toBe('Hello there!')
      expect([...streamed.matchAll(/"content":"([^"]*)"/g)].map(([, text]) => text).join('')).toBe('Hello there!')
      expect(streamed).toEndWith('data: [DONE]\n\n')
      expect(server.calls).toHaveLength(2)
    }
  })

  test('who began may leave, the others go on', async () => {
    const { middle, script } = halting()
    await using setup = await caching(script)
    const { gateway, server } = setup
    const leader = rawStream(gateway.port)
    await leader.until(text => text.includes('Hello'))
    const follower = await gateway.chat(stream)

    leader.socket.destroy()
    await gateway.logged({ outcome: 'cancelled' })
    middle.open()

    expect(await follower.text()).toContain('[DONE]')
    await gateway.logged({ outcome: 'ok' })
    expect(server.calls).toHaveLength(1)
    expect(statusOf(await gateway.chat(stream))).toBe('hit')
  })

  test('who began may leave before the answer breaks off: the others go on, and no place at the model stays taken', async () => {
    const middle = gate()
    await using broken = await startModelServer(sse([role, one, middle, cut()]))
    await using sound = await startModelServer(openAiScript())
    await using gateway = await startGateway({
      ...configOf([broken, sound]),
      cache: { enabled: true },
      limits: { enabled: true, per_model: { chat: { concurrent_requests: 1 } } },
    })
    const leader = rawStream(gateway.port)
    await leader.until(text => text.includes('Hello'))
    const follower = await gateway.chat(stream)

    leader.socket.destroy()
    await gateway.logged({ outcome: 'cancelled' })
    middle.open()

    expect(await follower.text()).toContain('[DONE]')
    expect((await gateway.chat({ seed: 1 })).status).toBe(200)
  })

  describe('that cost money', () => {
    const ADMIN = 'gw-admin-0123456789abcdef'
    /** The usage that the server tells of: 7 in, 3 out, of 1 and 2 millionths of a dollar. */
    const WHOLE_USD = 0.000013

    async function billing(script: Script) {
      const folder = await ownFolder('citadel-coalesce-')
      const setup = await caching(script, {
        service: { data_dir: folder.path },
        auth: { mode: 'none', admin_keys: [ADMIN] },
        models: { chat: { targets: [{ server: 'a', model: 'test-model', price: { input: 1, output: 2 } }] } },
      })
      return {
        ...setup,
        /** What each ended as, its cost in dollars, and its tokens, once there are so many. */
        async ends(requests: number) {
          const endsAt = performance.now() + 10_000
          while (true) {
            const response = await fetch(`${setup.gateway.url}/management/usage?by=user`, {
              headers: { authorization: `Bearer ${ADMIN}` },
            })
            const [line] = usagePage.parse(await response.json()).data
            if (line?.requests === requests || performance.now() > endsAt) return line
            await Bun.sleep(20)
          }
        },
        async stats() {
          const headers = { authorization: `Bearer ${ADMIN}` }
          return stats.parse(await (await fetch(`${setup.gateway.url}/management/stats`, { headers })).json())
        },
        async [Symbol.asyncDispose]() {
          await setup[Symbol.asyncDispose]()
          await folder.remove()
        },
      }
    }

    const counting = chatEvents('test-model', {}, true)
    const halts = () => {
      const middle = gate()
      return { middle, script: sse([...counting.slice(0, 2), middle, ...counting.slice(2)]) satisfies Steps }
    }

    test('are paid once, by who stays, when who began leaves', async () => {
      const { middle, script } = halts()
      await using setup = await billing(script)
      const { gateway } = setup
      const leader = rawStream(gateway.port)
      await leader.until(text => text.includes('Hello'))
      const followers = [await gateway.chat(stream), await gateway.chat(stream)]

      leader.socket.destroy()
      await gateway.logged({ outcome: 'cancelled' })
      middle.open()
      for (const follower of followers) await follower.text()
      await gateway.logged({ outcome: 'coalesced' })
      await gateway.logged({ outcome: 'ok' })

      expect(await setup.ends(3)).toMatchObject({ cost_usd: WHOLE_USD, input_tokens: 7, output_tokens: 3 })
      const { tokens } = await setup.stats()
      expect(tokens).toMatchObject({ input: 7, output: 3 })
      const { text: metrics } = await gateway.gateway.metrics()
      expect(metrics).toContain('gateway_tokens_total{server="a",model="chat",type="output"} 3')
      expect(metrics).toContain(`gateway_cost_usd_total{server="a",model="chat"} ${WHOLE_USD}`)
      expect(metrics).toContain('gateway_attempts_total{server="a",result="ok"} 1')
      expect(metrics).toContain('gateway_upstream_duration_seconds_count{server="a",model="chat"} 1')
    })

    test('count for the limits of their model too when who began leaves', async () => {
      const { middle, script } = halts()
      const limits = { per_model: { chat: { tokens_per_minute: 12 } } }
      await using setup = await caching(inTurn(script, openAiScript()), { limits })
      const { gateway } = setup
      const leader = rawStream(gateway.port)
      await leader.until(text => text.includes('Hello'))
      const follower = await gateway.chat(stream)

      leader.socket.destroy()
      await gateway.logged({ outcome: 'cancelled' })
      middle.open()
      await follower.text()
      await gateway.logged({ outcome: 'ok' })

      // Ten of twelve were used.
      expect((await gateway.chat({ max_tokens: 5, seed: 1 })).status).toBe(429)
    })

    test('are paid once also when they are plain', async () => {
      const [answer, ready] = [gate(), openAiScript()]
      await using setup = await billing(async request => [
        answer,
        typeof ready === 'function' ? await ready(request) : ready,
      ])
      const { gateway, server } = setup
      const leaving = new AbortController()
      const leader = gateway.chat({}, { signal: leaving.signal }).catch(() => null)
      await server.called(1)
      const followers = [gateway.chat(), gateway.chat()]
      // Another question that reaches the server shows that the others have had their turn.
      const marker = gateway.chat({ seed: 1 })
      await server.called(2)

      leaving.abort()
      await leader
      const later = gateway.chat({ seed: 2 })
      await server.called(3)
      answer.open()
      for (const follower of [...followers, marker, later]) await (await follower).text()

      expect(await setup.ends(5)).toMatchObject({ input_tokens: 21, output_tokens: 9, cost_usd: 3 * WHOLE_USD })
    })

    test('are paid by the last one when all have left', async () => {
      await using setup = await billing(sse([role, one, hang()]))
      const { gateway, server } = setup
      const clients = [rawStream(gateway.port), rawStream(gateway.port), rawStream(gateway.port)]
      for (const client of clients) await client.until(text => text.includes('Hello'))

      for (const client of clients) client.socket.destroy()
      await server.allClosed()
      const line = await setup.ends(3)

      // A prompt and a piece, estimated once.
      expect(line).toMatchObject({ estimated: 1 })
      expect(line?.cost_usd).toBeGreaterThan(0)
      expect(line?.cost_usd).toBeLessThan(WHOLE_USD)
    })
  })

  describe('when who began leaves before a fallback model is asked, the others', () => {
    const SPENT = { requests_per_minute: 1, concurrent_requests: 1 }

    /** A call for which another one waits whose leader has left, just before its server fails. */
    async function forsaken(run: (gateway: TestGateway, follower: Promise<Response>) => Promise<void>, more: Tree) {
      const answer = gate()
      await using broken = await startModelServer([answer, json(500, { error: { message: 'no' } })])
      await using spare = await startModelServer(openAiScript())
      await using gateway = await startGateway(
        configWithFallback([broken, spare], { cache: { enabled: true }, retry: { max_attempts: 2 }, ...more }),
      )
      const leader = gateway.chat({}, { headers: { 'x-citadel-timeout-ms': '300' } })
      await broken.called(1)
      const follower = gateway.chat()
      // Another question that is answered shows that the follower has had its turn.
      await (await gateway.chat({ model: 'spare' })).text()
      expect((await leader).status).toBe(504)
      await gateway.logged({ code: 'deadline_exceeded' })
      answer.open()
      await run(gateway, follower)
    }

    test('are answered by it, and hold nothing of its limits behind their end', () =>
      forsaken(
        async (gateway, follower) => {
          const { status } = await follower
          const next = await gateway.chat({ model: 'spare', seed: 1 })

          expect([status, next.status]).toEqual([200, 200])
          expect(next.headers.get('x-ratelimit-remaining-requests')).toBe('57')
        },
        { limits: { per_model: { spare: { requests_per_minute: 60, concurrent_requests: 1 } } } },
      ))

    test('hear that nobody could answer when it is used up', () =>
      forsaken(
        async (_, follower) => {
          const { error } = await (await follower).json()

          expect(error.code).toBe('all_targets_failed')
        },
        { limits: { per_model: { spare: SPENT } } },
      ))

    test('leave nothing written down that is never settled, and no money set aside', () =>
      forsaken(
        async (gateway, follower) => {
          const { status } = await follower
          const { text } = await gateway.gateway.metrics()
          // As much as everybody may spend together, but for what was spent.
          const next = await gateway.chat({ model: 'spare', seed: 1, max_tokens: 100 })

          expect([status, next.status]).toEqual([200, 200])
          expect(text).toContain('gateway_holds_open 0')
        },
        {
          limits: { enabled: false },
          budgets: { per_tenant: { '*': { usd: 0.0002, per: 'day' } } },
        },
      ))
  })

  test('when the last one has left the server is let go', async () => {
    await using setup = await caching(sse([role, one, hang()]))
    const { gateway, server } = setup
    const clients = [rawStream(gateway.port), rawStream(gateway.port)]
    for (const client of clients) await client.until(text => text.includes('Hello'))

    for (const client of clients) client.socket.destroy()
    // Its own connection: that of a probe may be kept.
    await (await server.called(1)).closed

    expect(server.calls).toHaveLength(1)
  })

  test('share an error once; who asks then is answered anew', async () => {
    const answer = gate()
    const refused = json(400, { error: { message: 'no', type: 'invalid_request_error' } })
    await using setup = await caching(inTurn([answer, refused], openAiScript()))
    const { gateway, server } = setup
    const first = gateway.chat()
    await server.called(1)
    const second = gateway.chat()
    const marker = gateway.chat({ seed: 1 })
    await server.called(2)
    answer.open()

    const all = await Promise.all([first, second])
    expect(all.map(({ status }) => status)).toEqual([400, 400])
    expect((await gateway.chat()).status).toBe(200)
    await (await marker).text()
    expect(server.calls).toHaveLength(3)
  })

  test('are all counted with their model when nobody could answer', async () => {
    const answer = gate()
    await using setup = await caching([answer, json(400, { error: { message: 'no', type: 'invalid_request_error' } })])
    const { gateway, server } = setup
    const calls = [gateway.chat(), gateway.chat()]
    await server.called(1)
    await answer.reached
    // Another question that reaches the server shows that the second one has had its turn.
    const other = gateway.chat({ seed: 1 })
    await server.called(2)
    answer.open()
    await Promise.all([...calls, other])

    const failed = () => gateway.lines.filter(({ status }) => status === 400)
    await until('all are over', 3000, () => failed().length === 3)
    const { text } = await gateway.gateway.metrics()

    expect(failed().map(({ model }) => model)).toEqual(['chat', 'chat', 'chat'])
    expect(text).toContain('gateway_coalesced_total 1')
  })

  test('a stream that breaks off breaks off for all, and is not stored', async () => {
    const middle = gate()
    await using setup = await caching(
      inTurn(sse([role, one, middle, { error: { message: 'broken' } }]), openAiScript()),
      {
        retry: { max_attempts: 1 },
      },
    )
    const { gateway } = setup
    const responses = [await gateway.chat(stream), await gateway.chat(stream)]
    middle.open()
    const texts = await Promise.all(responses.map(response => response.text()))

    expect(responses.map(statusOf)).toEqual(['miss', 'coalesced'])
    for (const text of texts) {
      expect(text).toContain('stream_interrupted')
      expect(text).not.toContain('[DONE]')
    }
    expect(statusOf(await gateway.chat(stream))).toBe('miss')
  })

  test.each(['x-citadel-timeout-ms', 'x-citadel-idle-ms'])(
    'a caller whose own time is over leaves alone: %s',
    async name => {
      const { middle, script } = halting()
      await using setup = await caching(script)
      const { gateway } = setup
      const patient = await gateway.chat(stream)
      const hasty = await gateway.chat(stream, { headers: { [name]: '30' } })
      const cut = await hasty.text()
      middle.open()

      expect(cut).toContain('deadline_exceeded')
      expect(await patient.text()).toContain('[DONE]')
    },
  )

  test('a caller who waits for less long for the first content leaves alone', async () => {
    const door = gate()
    await using setup = await caching(sse([role, door, one, two, ...rest]))
    const { gateway } = setup
    const patient = gateway.chat(stream)
    await door.reached
    const hasty = await gateway.chat(stream, { headers: { 'x-citadel-first-token-ms': '30' } })
    door.open()

    expect(hasty.status).toBe(504)
    expect(await (await patient).text()).toContain('[DONE]')
  })
})

describe('what never shares', () => {
  const cases: readonly (readonly [name: string, body: object, headers: Record<string, string>, more: Tree])[] = [
    ['a call with an idempotency key', {}, { 'idempotency-key': 'k' }, {}],
    ['a call that the server stores', { store: true }, {}, {}],
    ['a call that wants a new answer', {}, { 'cache-control': 'no-cache' }, {}],
    ['any call while sharing is off', {}, {}, { cache: { enabled: true, coalesce: false } }],
    ['calls that wait in another order', {}, { 'x-citadel-priority': 'low' }, {}],
  ]

  for (const [name, body, headers, more] of cases) {
    test(name, async () => {
      const { middle, script } = halting()
      await using setup = await caching(script, more)
      const { gateway, server } = setup
      const first = await gateway.chat({ ...stream, ...body })
      const second = await gateway.chat({ ...stream, ...body }, { headers })
      middle.open()
      await Promise.all([first.text(), second.text()])

      expect(statusOf(second)).not.toBe('coalesced')
      expect(server.calls).toHaveLength(2)
    })
  }
})
