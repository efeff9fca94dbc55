import { describe, expect, test } from 'bun:test'
import {
  configOf,
  configWithFallback,
  startGateway,
  startModelServer,
  type TestGateway,
} from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents, openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { hang, json, type Steps, sse } from '#tests/support/upstream.ts'

const FILTERED = { deltas: [], finishReason: 'content_filter' }
const refusal = openAiError(400, 'The response was filtered.', 'content_filter')
const emptied = (stream: boolean): Steps =>
  stream ? sse(chatEvents('test-model', FILTERED)) : json(200, chatCompletion('test-model', FILTERED))
const anyway = { gateway: { fallback: { content_filter: true } } }

for (const stream of [false, true]) {
  const kind = stream ? 'stream' : 'plain'

  describe.each([
    { what: 'a prompt that a filter refuses', script: refusal, status: 400 },
    { what: 'an answer of which a filter leaves nothing', script: emptied(stream), status: 200 },
  ])(`$what (${kind})`, ({ script, status }) => {
    test('goes to the caller as it is', async () => {
      await using filtering = await startModelServer(script)
      await using other = await startModelServer(openAiScript())
      await using gateway = await startGateway(configWithFallback([filtering, other]))

      const response = await gateway.chat({ stream })
      const text = await response.text()

      expect([response.status, other.calls.length]).toEqual([status, 0])
      expect(text).toContain(status === 400 ? '"code":"content_policy_violation"' : '"finish_reason":"content_filter"')
    })

    test('goes to a fallback model where that is configured', async () => {
      await using filtering = await startModelServer(script)
      await using other = await startModelServer(openAiScript())
      await using gateway = await startGateway(configWithFallback([filtering, other], anyway))

      const response = await gateway.chat({ stream })
      const text = await response.text()

      expect(toldBy(response)).toEqual([200, 'spare', 'b', '2'])
      expect(text).toContain('"finish_reason":"stop"')
      expect(text).not.toContain('content_filter')
      expect(await resultsOf(gateway, response)).toEqual(['content_policy_violation', 'ok'])
      expect(filtering.calls).toHaveLength(1)
    })

    test('goes to the caller all the same when nobody else is left', async () => {
      await using filtering = await startModelServer(script)
      await using gateway = await startGateway({
        ...configWithFallback([filtering, filtering], anyway),
        models: { chat: { targets: [{ server: 'a', model: 'test-model' }] } },
      })

      const response = await gateway.chat({ stream })
      await response.text()

      expect([response.status, filtering.calls.length]).toEqual([status, 1])
    })

    test('goes round no circle', async () => {
      await using filtering = await startModelServer(script)
      await using gateway = await startGateway({
        ...configWithFallback([filtering, filtering], anyway),
        models: {
          chat: { targets: [{ server: 'a', model: 'test-model' }], fallbacks: ['spare'] },
          spare: { targets: [{ server: 'b', model: 'spare-model' }], fallbacks: ['chat'] },
        },
      })

      const response = await gateway.chat({ stream })
      await response.text()

      // The last model's answer is what there is, a refusal by all is told in the first one's words.
      expect([response.status, filtering.calls.length]).toEqual([status, 2])
    })
  })

  test(`an answer that a filter cuts short is an answer (${kind})`, async () => {
    const options = { finishReason: 'content_filter' }
    const script = stream ? sse(chatEvents('test-model', options)) : json(200, chatCompletion('test-model', options))
    await using filtering = await startModelServer(script)
    await using other = await startModelServer(openAiScript())
    await using gateway = await startGateway(configWithFallback([filtering, other], anyway))

    const response = await gateway.chat({ stream })

    expect(await response.text()).toContain('"finish_reason":"content_filter"')
    expect([toldBy(response), other.calls.length]).toEqual([[200, 'chat', 'a', '1'], 0])
  })

  test(`a prompt that is too long goes to a fallback model that takes more, and to no other (${kind})`, async () => {
    const tooLong = openAiError(400, "This model's maximum context length is 8192 tokens.", 'context_length_exceeded')
    await using short = await startModelServer(tooLong)
    await using long = await startModelServer(openAiScript())
    const config = (lengths: readonly number[]) => ({
      ...configWithFallback([short, long]),
      models: {
        chat: {
          targets: [{ server: 'a', model: 'test-model' }],
          capabilities: { context_length: lengths[0] },
          fallbacks: ['spare'],
        },
        spare: { targets: [{ server: 'b', model: 'spare-model' }], capabilities: { context_length: lengths[1] } },
      },
    })
    await using larger = await startGateway(config([8192, 32_768]))
    await using same = await startGateway(config([8192, 8192]))

    const [onward, back] = [await larger.chat({ stream }), await same.chat({ stream })]

    expect(toldBy(onward)).toEqual([200, 'spare', 'b', '2'])
    expect([back.status, (await back.json()).error.code]).toEqual([400, 'context_length_exceeded'])
    expect(long.calls).toHaveLength(1)
  })
}

function toldBy({ status, headers }: Response): (number | string | null)[] {
  return [status, ...['model', 'server', 'attempts'].map(name => headers.get(`x-citadel-${name}`))]
}

async function resultsOf(gateway: TestGateway, response: Response): Promise<readonly string[]> {
  const report = await (await fetch(`${gateway.url}/v1/requests/${response.headers.get('x-request-id')}`)).json()
  return report.attempts.map((attempt: { readonly result: string }) => attempt.result)
}

test('a call that is left while a fallback model is asked is that model’s, and its server’s', async () => {
  await using broken = await startModelServer(openAiError(500, 'broken', null))
  await using spare = await startModelServer(hang())
  await using gateway = await startGateway(configWithFallback([broken, spare]))
  const leaving = new AbortController()
  const left = gateway.chat({}, { signal: leaving.signal }).catch(() => null)
  await spare.called(1)

  leaving.abort()
  await left

  expect(await gateway.logged({ outcome: 'cancelled' })).toMatchObject({ model: 'spare', server: 'b', tokens_in: 1 })
})

test('fallbacks that are not the key’s, or no models, are passed over, and the call is told why', async () => {
  const key = 'sk-web-0123456789abcdef'
  const init = { headers: { authorization: `Bearer ${key}` } }
  await using broken = await startModelServer(openAiError(500, 'broken', null))
  await using sound = await startModelServer(openAiScript())
  await using gateway = await startGateway({
    ...configOf([broken, sound]),
    models: {
      chat: { targets: [{ server: 'a', model: 'test-model' }] },
      secret: { targets: [{ server: 'b', model: 'secret-model' }] },
      spare: { targets: [{ server: 'b', model: 'spare-model' }] },
    },
    auth: { mode: 'required', keys: [{ name: 'web', key, models: ['chat', 'spare'] }] },
  })

  const response = await gateway.chat({ fallbacks: ['secret', 'none', 'spare'] }, init)

  expect([response.status, response.headers.get('x-citadel-model')]).toEqual([200, 'spare'])
  const report = await fetch(`${gateway.url}/v1/requests/${response.headers.get('x-request-id')}`, init)
  expect((await report.json()).skipped).toEqual([
    { model: 'secret', code: 'model_not_allowed' },
    { model: 'none', code: 'model_not_found' },
  ])
})
