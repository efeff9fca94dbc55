import { expect, test } from 'bun:test'
import { configFrom } from '#src/index.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatEvents, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { until } from '#tests/support/until.ts'
import { cut, type Script, sse } from '#tests/support/upstream.ts'

const failing = openAiError(500, 'out of memory', null)

/** A model server that answers well but for the time in which it is broken. */
function failingWhile(isBroken: () => boolean): Script {
  const sound = openAiScript()
  return request => {
    if (isBroken()) return failing
    return typeof sound === 'function' ? sound(request) : sound
  }
}

test('a server that flaps is left alone, and serves again within half a minute of each recovery', async () => {
  let broken = true
  await using primary = await startModelServer(failingWhile(() => broken))
  await using other = await startModelServer(openAiScript())
  const clock = fakeClock()
  const config = configOf([primary, other], { load_balancer: { algorithm: 'explicit' } })
  await using gateway = await startGateway(config, { clock })
  const ask = async () => {
    const response = await gateway.chat()
    await response.text()
    return `${response.status} ${response.headers.get('x-citadel-server')}`
  }

  for (let flap = 0; flap < 3; flap++) {
    broken = true
    const asked = primary.calls.length
    for (let n = 0; n < 8; n++) expect(await ask()).toBe('200 b')
    expect(primary.calls.length - asked).toBe(5)

    broken = false
    for (let waited = 0; waited < 30_000 && (await ask()) !== '200 a'; waited += 500) clock.advance(500)

    // Half a minute is over for the gateway, and what it has asked the server by then is answered in real time.
    await until('the first server serves', 5000, async () => (await ask()) === '200 a' || primary.calls.length)
    expect([await ask(), await ask()]).toEqual(['200 a', '200 a'])
  }
}, 20_000)

test.each([
  [408, 5],
  [429, 1],
])('a server that answers each call with %d is asked %d times', async (status, times) => {
  await using primary = await startModelServer(openAiError(status, 'no', null))
  await using other = await startModelServer(openAiScript())
  await using gateway = await startGateway(configOf([primary, other], { load_balancer: { algorithm: 'explicit' } }))

  for (let n = 0; n < 8; n++) expect((await gateway.chat()).status).toBe(200)

  expect(primary.calls).toHaveLength(times)
})

test('streams that break off count too, although they began', async () => {
  await using primary = await startModelServer(sse([...chatEvents('test-model').slice(0, 2), cut()]))
  await using other = await startModelServer(openAiScript())
  const config = configOf([primary, other], {
    load_balancer: { algorithm: 'explicit' },
    recovery: { enabled: false },
  })
  await using gateway = await startGateway(config)

  for (let n = 0; n < 8; n++) await (await gateway.chat({ stream: true })).text()

  expect(primary.calls).toHaveLength(5)
  expect(other.calls.length).toBeGreaterThanOrEqual(3)
})

test('a storm of failures is not answered with a storm of retries', async () => {
  await using first = await startModelServer(failing)
  await using second = await startModelServer(failing)
  await using gateway = await startGateway(configOf([first, second]))

  const statuses: Promise<number>[] = []
  for (let n = 0; n < 200; n++) {
    statuses.push(gateway.chat().then(response => response.status))
    await Bun.sleep(10)
  }

  expect(new Set(await Promise.all(statuses))).toEqual(new Set([503]))
  expect((first.calls.length + second.calls.length) / statuses.length).toBeLessThanOrEqual(1.25)
})

test('a key that is refused makes way for the next one', async () => {
  const sound = openAiScript()
  await using server = await startModelServer(request => {
    if (request.headers.authorization !== 'Bearer good-key') return openAiError(401, 'bad key', null)
    return typeof sound === 'function' ? sound(request) : sound
  })
  const config = configOf([server])
  const servers = [{ id: 'a', kind: 'openai_compatible', base_url: server.url, api_keys: ['bad-key', 'good-key'] }]
  await using gateway = await startGateway({ ...config, servers })

  const [first, second] = [await gateway.chat(), await gateway.chat()]

  expect([first.status, first.headers.get('x-citadel-attempts')]).toEqual([200, '2'])
  expect([second.status, second.headers.get('x-citadel-attempts')]).toEqual([200, '1'])
})

test('breakers that a reload switches off keep no traffic away', async () => {
  let broken = true
  await using primary = await startModelServer(failingWhile(() => broken))
  await using other = await startModelServer(openAiScript())
  const config = (enabled: boolean) =>
    configOf([primary, other], {
      load_balancer: { algorithm: 'explicit', circuit_breaker_threshold: 1, circuit_breaker_enabled: enabled },
    })
  await using gateway = await startGateway(config(true), { clock: fakeClock() })
  const ask = async () => (await gateway.chat()).headers.get('x-citadel-server')

  const before = [await ask(), await ask()]
  broken = false
  const open = await ask()
  gateway.gateway.reload(configFrom(config(false)))

  expect([before, open, await ask()]).toEqual([['b', 'b'], 'b', 'a'])
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
  expect(metrics).toMatch(/gateway_breaker_state\{server="a",model="test-model"\} 0/)
})

test.each([
  ['every server fails', 500, 'no_healthy_upstream', '503'],
  ['every server limits its callers', 429, 'provider_rate_limited', '429'],
  ['every server refuses the credentials', 401, 'upstream_auth_failed', '502'],
])(
  'a call that nobody is asked for, because %s, still counts as one of its model',
  async (_, status, code, counted) => {
    await using only = await startModelServer(openAiError(status, 'no', null))
    await using gateway = await startGateway(configOf([only]))
    const calls = async () => {
      const text = await (await fetch(`${gateway.url}/metrics`)).text()
      return new RegExp(
        `^gateway_requests_total\\{model="chat",server="none",status="${counted}",stream="false"\\} (\\d+)`,
        'm',
      ).exec(text)?.[1]
    }
    const ask = async () => {
      const response = await gateway.chat()
      return {
        id: response.headers.get('x-request-id'),
        code: (await response.json()).error.code,
        asked: only.calls.length,
      }
    }
    let last = await ask()
    for (let before = -1; before !== last.asked; ) {
      before = last.asked
      last = await ask()
    }
    const first = Number(await calls())

    const { id, code: said } = await ask()

    expect(said).toBe(code)
    expect(Number(await calls())).toBe(first + 1)
    expect(await (await fetch(`${gateway.url}/v1/requests/${id}`)).json()).toMatchObject({
      model: 'chat',
      server: null,
      code,
    })
  },
)
