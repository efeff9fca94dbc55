import { describe, expect, test } from 'bun:test'
import { settled } from '#tests/support/clock.ts'
import { connectionFrom } from '#tests/support/connection.ts'
import { ADMINISTERED, edgeOf, errorOf, signed } from './edge.ts'

describe('an overloaded gateway', () => {
  test('refuses low priorities first, then all new calls, and takes them again', async () => {
    const pressure = { lagMs: 0, memory: 0.86 }
    const { chat, pass } = await edgeOf({}, { pressure: () => pressure })
    const low = { headers: { 'x-citadel-priority': 'low' } }
    const usual = async () => {
      const answer = chat()
      await pass(10_000)
      return answer
    }

    expect([(await chat(low)).status, (await usual()).status]).toEqual([503, 200])
    pressure.memory = 0.93
    const refused = await chat()
    expect([refused.status, (await errorOf(refused)).code]).toEqual([503, 'overloaded'])
    expect(refused.headers.get('retry-after')).toBe('5')
    pressure.memory = 0.5
    pressure.lagMs = 250
    expect([(await chat(low)).status, (await usual()).status]).toEqual([503, 200])
  })

  test('does not wait for the rest of a body that it let in when there was room', async () => {
    const pressure = { lagMs: 0, memory: 0.5 }
    const { gateway, clock } = await edgeOf({}, { pressure: () => pressure })
    const body = new ReadableStream<Uint8Array>({ start: controller => controller.enqueue(new Uint8Array(1000)) })
    const request = new Request('http://localhost/v1/chat/completions', { method: 'POST', body })

    const answer = gateway.fetch(request, connectionFrom('127.0.0.1'))
    await settled()
    clock.advance(2000)
    pressure.memory = 0.93
    clock.advance(1000)
    const refused = await answer

    expect([refused.status, (await errorOf(refused)).code]).toEqual([503, 'overloaded'])
    expect([refused.headers.get('retry-after'), refused.headers.get('connection')]).toEqual(['5', 'close'])
  })

  test.each([
    ['that says how large it is', (text: string) => ({ body: text, headers: { 'content-length': `${text.length}` } })],
    ['that comes in pieces', (text: string) => ({ body: new Blob([text]).stream() })],
  ])('does not take in a large body %s when it would fill the memory', async (_, sent) => {
    const config = { performance: { memory_limit_gb: 0.1 } }
    const { gateway } = await edgeOf(config, { pressure: () => ({ lagMs: 0, memory: 0.7 }) })
    const send = (bytes: number) => {
      const request = { method: 'POST', ...sent(JSON.stringify({ prompt: 'x'.repeat(bytes) })) }
      return gateway.fetch(new Request('http://localhost/v1/chat/completions', request), connectionFrom('127.0.0.1'))
    }

    const [large, smaller] = [await send(9_000_000), await send(1_000_000)]

    expect([large.status, large.headers.get('retry-after'), await errorOf(large)]).toMatchObject([
      503,
      '5',
      { code: 'overloaded', message: 'The gateway is overloaded and takes no large bodies now; try again shortly.' },
    ])
    expect(smaller.status).toBe(400)
  })

  test('does not take in a large webhook either, of which it knows only afterwards who has sent it', async () => {
    const config = { ...ADMINISTERED, performance: { memory_limit_gb: 0.1 } }
    const { ask, clock } = await edgeOf(config, { pressure: () => ({ lagMs: 0, memory: 0.7 }) })
    const send = (bytes: number) => {
      const body = 'x'.repeat(bytes)
      const headers = { ...signed('another body', clock), 'content-length': String(bytes) }
      return ask('/webhooks/server_status', { method: 'POST', headers, body })
    }

    expect([(await send(9_000_000)).status, (await send(1000)).status]).toEqual([503, 401])
  })

  test('keeps no room for what a webhook only says that it will send', async () => {
    const config = { ...ADMINISTERED, performance: { memory_limit_gb: 0.1 } }
    const { gateway, clock } = await edgeOf(config, { pressure: () => ({ lagMs: 0, memory: 0.7 }) })
    const { readable, writable } = new TransformStream()
    const send = (path: string, body: string | ReadableStream, more = {}) => {
      const headers = { ...more, 'content-length': '5000000' }
      const request = new Request(`http://localhost${path}`, { method: 'POST', headers, body })
      return gateway.fetch(request, connectionFrom('127.0.0.1'))
    }

    const webhook = send('/webhooks/server_status', readable, signed('another body', clock))
    await settled()
    const call = await send('/v1/chat/completions', JSON.stringify({ prompt: 'x'.repeat(5_000_000) }))
    await writable.close()

    expect([call.status, (await webhook).status]).toEqual([400, 401])
  })

  test('stays ready until memory is all but gone, and answers what is no model call', async () => {
    const pressure = { lagMs: 900, memory: 0.94 }
    const { ask } = await edgeOf({}, { pressure: () => pressure })

    expect([(await ask('/readyz')).status, (await ask('/v1/models')).status]).toEqual([200, 200])
    pressure.memory = 0.95
    const unready = await ask('/readyz')
    expect([unready.status, await unready.json()]).toEqual([
      503,
      { status: 'not_ready', reason: 'the gateway is out of memory' },
    ])
    expect((await ask('/livez')).status).toBe(200)
  })

  test('shows the state of the overload in the metrics', async () => {
    const { gateway } = await edgeOf({}, { pressure: () => ({ lagMs: 0, memory: 0.93 }) })

    expect((await gateway.metrics()).text).toMatch(/^gateway_overload_state 2$/m)
  })
})
