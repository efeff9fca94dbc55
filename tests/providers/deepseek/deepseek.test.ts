import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { deepseek } from '#providers/deepseek/index.ts'
import { callOf, contentOf, dataFrames, isModelCall, replay, resultOf, textsOf } from '#tests/providers/replay.ts'
import { call, server, target } from '#tests/support/calls.ts'
import { chunkProblems, plainSchemas, schemaProblems, streamSchemas } from '#tests/support/openai-schema.ts'
import { recordedCase, recordedCases } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { splitsOf } from '#tests/support/splits.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

const at = target('a', { server: server('a', { kind: 'deepseek', baseUrl: 'https://api.deepseek.com' }) })

function sent(body: object) {
  const whole = { model: 'm', messages: [{ role: 'user', content: 'Hi' }], ...body }
  const { body: text, dropped } = deepseek.encode(
    call({ stream: false, body: whole, source: JSON.stringify(whole) }),
    at,
    null,
  )
  return { body: JSON.parse(text?.join('') ?? ''), dropped }
}

describe('a request', () => {
  test('goes to paths at the root of the address', () => {
    const { url, headers } = deepseek.encode(call(), at, 'sk-1')

    expect(url).toBe('https://api.deepseek.com/chat/completions')
    expect(headers.authorization).toBe('Bearer sk-1')
    expect(deepseek.normalizeBaseUrl(' https://api.deepseek.com/chat/completions/ ')).toBe('https://api.deepseek.com')
    expect(deepseek.catalog.probes(at.server).map(probe => probe.url)).toEqual(['https://api.deepseek.com/models'])
  })

  test('has the words that it knows', () => {
    const messages = [{ role: 'developer', content: 'x' }]

    expect(sent({ messages, max_completion_tokens: 5 }).body).toEqual({
      model: 'm',
      messages: [{ role: 'system', content: 'x' }],
      max_tokens: 5,
    })
  })

  test('turns thinking off by its switch, and leaves every other effort to it', () => {
    expect(sent({ reasoning_effort: 'none' }).body).toMatchObject({ thinking: { type: 'disabled' } })
    expect(sent({ reasoning_effort: 'none' }).body).not.toHaveProperty('reasoning_effort')
    expect(sent({ reasoning_effort: 'high', thinking: { type: 'enabled' } }).body).toMatchObject({
      reasoning_effort: 'high',
      thinking: { type: 'enabled' },
    })
  })

  describe('of a conversation with tools', () => {
    const called = {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'a', type: 'function', function: { name: 'f' } }],
    }
    const messages = [called, { role: 'tool', tool_call_id: 'a', content: 'x' }, { role: 'assistant', content: 'So.' }]

    test('has a place for the thoughts that the client did not keep', () => {
      expect(sent({ messages }).body.messages).toEqual([
        { ...called, reasoning_content: '' },
        messages[1],
        { ...messages[2], reasoning_content: '' },
      ])
    })

    test('keeps the thoughts that it has, by any name', () => {
      const kept = [{ ...called, reasoning_content: 'Hm' }, messages[1], { ...messages[2], reasoning: 'Oh' }]

      expect(sent({ messages: kept }).body.messages).toEqual([
        kept[0],
        kept[1],
        { ...kept[2], reasoning_content: 'Oh' },
      ])
    })

    test.each([{ thinking: { type: 'disabled' } }, { reasoning_effort: 'none' }])('stays unchanged with %j', off => {
      expect(sent({ messages, ...off }).body.messages).toEqual(messages)
    })
  })

  test('names the parameters that DeepSeek ignores as dropped', () => {
    expect(sent({ seed: 1014, user: 'u', temperature: 0 })).toMatchObject({
      dropped: ['seed', 'user'],
      body: { temperature: 0 },
    })
  })

  test.each([
    { n: 2 },
    { logit_bias: { '1': 5 } },
    { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: {} } } },
    { functions: [{ name: 'f' }] },
  ])('is refused with the parameter %j', body => {
    expect(() => sent(body)).toThrow(
      expect.objectContaining({ code: 'unsupported_parameter', param: Object.keys(body)[0] }),
    )
  })
})

describe.skipIf(sharedDir() === null)('what it answered', () => {
  const cases = recordedCases('deepseek').filter(isModelCall)
  const streams = cases.filter(({ streamed }) => streamed).map(each => [each.name, each] as const)
  const plain = cases
    .filter(({ streamed, status }) => !streamed && status === 200)
    .map(each => [each.name, each] as const)

  test.each(cases.map(each => [each.name, each] as const))(
    'was asked for by what is sent for it: %s',
    (_, recorded) => {
      const asked = callOf(recorded)

      const { body, url } = deepseek.encode(asked, { ...at, upstreamModel: String(asked.body.model) }, null)

      const { seed: _seed, ...known } = asked.body
      expect(url).toEndWith(recorded.endpoint.split(' ')[1] ?? '')
      expect(JSON.parse(body?.join('') ?? '')).toEqual(known)
    },
  )

  test.each(plain)('%s', (_, recorded) => {
    const answer = deepseek.decode(callOf(recorded), recorded.text)

    if (answer instanceof GatewayError) throw answer
    // It numbers the tool calls of plain answers.
    expect(answer.text === recorded.text).toBe(!recorded.text.includes('"tool_calls"'))
    expect(schemaProblems(plainSchemas.chat, JSON.parse(answer.text))).toEqual([])
  })

  test.each(streams)('%s, wherever it is split', (_, recorded) => {
    const asked = callOf(recorded, { wantsUsage: true })
    const whole = replay(deepseek, asked, recorded.text)

    expect(whole.skipped).toBe(0)
    expect(strictProblems(textsOf(whole.frames, true), { usage: true })).toEqual([])
    expect(chunkProblems(streamSchemas.chat, textsOf(whole.frames, true))).toEqual([])
    for (const split of splitsOf(recorded.text)) {
      expect(resultOf(replay(deepseek, asked, recorded.text, split))).toBe(resultOf(whole))
    }
  })

  test('thinking and its cost are told apart from the answer', () => {
    const recorded = recordedCase('deepseek/chat-stream-reasoning')

    const { frames } = replay(deepseek, callOf(recorded), recorded.text)

    const thought = dataFrames(frames).map(frame => frame.chunk.choices?.[0]?.delta?.reasoning_content ?? '')
    expect(thought.join('').length).toBeGreaterThan(10)
    expect(contentOf(frames).length).toBeGreaterThan(0)
    expect(dataFrames(frames).at(-1)?.usage).toMatchObject({ output: 47, reasoning: 34 })
  })

  test('hits and misses of the cache are classes of their own', () => {
    const recorded = recordedCase('deepseek/chat-tool-reasoning')

    const answer = deepseek.decode(callOf(recorded), recorded.text)

    expect(answer).toMatchObject({ usage: { input: 51, cacheRead: 512, cacheWrite: 0, output: 116, reasoning: 60 } })
  })

  test('a prompt that is too long is told whatever type the body has', () => {
    const recorded = recordedCase('deepseek/error-400-context-length')
    const header = (name: string) => recorded.headers[name] ?? null

    expect(header('content-type')).toBe('application/octet-stream')
    expect(deepseek.decodeError({ status: 400, header }, recorded.text)).toMatchObject({
      code: 'context_length_exceeded',
    })
  })

  test('has the models of DeepSeek in its list', () => {
    const models = deepseek.catalog.decodeList(recordedCase('deepseek/models-list').text)

    expect(models.length).toBeGreaterThan(0)
    expect(models[0]).toMatchObject({ id: expect.stringContaining('deepseek'), ownedBy: 'deepseek', created: 0 })
  })
})

test.each([
  [401, 'Authentication Fails', 'upstream_auth_failed'],
  [402, 'Insufficient Balance', 'upstream_auth_failed'],
  [422, 'Invalid Parameters', 'invalid_request'],
  [429, 'Rate Limit Reached', 'provider_rate_limited'],
  [503, 'Server Overloaded', 'upstream_error'],
])('HTTP %d of DeepSeek with the message %s becomes the code of its meaning', (status, message, code) => {
  const body = JSON.stringify({ error: { message, type: 'x', param: null, code: 'invalid_request_error' } })

  expect(deepseek.decodeError({ status, header: () => null }, body)).toMatchObject({ code })
})
