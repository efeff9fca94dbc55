import { expect, test } from 'bun:test'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { gate, hang, head, type Steps, sse } from '#tests/support/upstream.ts'

const [role = '', ...rest] = chatEvents('test-model', { deltas: ['late'] })

/** A server that does this, another one that answers, and calls that are moved by a clock. */
async function between(script: Steps, timeouts: object) {
  const clock = fakeClock()
  clock.advance(1)
  const slow = await startModelServer(script)
  const sound = await startModelServer(openAiScript({ deltas: ['prompt'] }))
  const config = configOf([slow, sound], {
    timeouts,
    load_balancer: { algorithm: 'explicit', health_check_interval: '1h', health_check_timeout: '1h' },
    monitoring: { thresholds: { response_time: ['1h', '1h'] } },
  })
  const gateway = await startGateway(config, { clock })
  return {
    clock,
    slow,
    sound,
    gateway,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await Promise.all([slow.close(), sound.close()])
    },
  }
}

/** Expects that another server answers after so many milliseconds, and is not asked before. */
async function answeredBehind(ms: number, { clock, sound }: Stage, asked: Promise<Response>): Promise<void> {
  clock.advance(ms - 1)
  await settled()
  expect(sound.calls).toHaveLength(0)
  clock.advance(1)
  const response = await asked

  expect(await response.text()).toContain('prompt')
  expect([response.status, response.headers.get('x-citadel-attempts')]).toEqual([200, '2'])
}

type Stage = Awaited<ReturnType<typeof between>>

test.each([false, true])(
  'a silent server is asked once, and another one when first_byte is over (stream: %p)',
  async stream => {
    await using stage = await between(hang(), { first_byte: '5s' })
    const { slow, sound, gateway } = stage
    const asked = gateway.chat({ stream })
    const call = await slow.called(1)
    await settled()

    await answeredBehind(5000, stage, asked)

    expect([slow.calls.length, sound.calls.length]).toEqual([1, 1])
    expect((await call.closed) > 0 && call.closedBy).toBe('client')
  },
)

test('a first token that is slower than first_token comes from another server, whatever else the first one says', async () => {
  const [second, late] = [gate(), gate()]
  const script = sse([role, second, role, role, late, ...rest])
  await using stage = await between(script, { first_token: '3s', first_byte: '60s', idle: '60s' })
  const { clock, slow, sound, gateway } = stage
  const asked = gateway.chat({ stream: true })
  await second.reached
  await settled()

  clock.advance(2000)
  second.open()
  await late.reached
  await settled()
  clock.advance(999)
  await settled()
  expect(sound.calls).toHaveLength(0)
  clock.advance(1)
  late.open()
  const text = await (await asked).text()

  expect(text).toContain('prompt')
  expect(text).not.toContain('late')
  expect([slow.calls.length, sound.calls.length]).toEqual([1, 1])
})

test.each([false, true])(
  'an error whose words do not come is what its status says after 3 s, and its connection is closed (stream: %p)',
  async stream => {
    const words = gate()
    const script = [head(503, { 'content-type': 'application/json', 'content-length': '100' }), words]
    await using stage = await between(script, { idle: '60s', first_token: '60s' })
    const { slow, gateway } = stage
    const asked = gateway.chat({ stream })
    const call = await slow.called(1)
    await words.reached
    await settled()

    await answeredBehind(3000, stage, asked)

    expect((await call.closed) > 0 && call.closedBy).toBe('client')
  },
)
