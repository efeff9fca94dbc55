import { expect, test } from 'bun:test'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatCompletion, openAiScript } from '#tests/support/openai-upstream.ts'
import { json, sse } from '#tests/support/upstream.ts'

const MANY = 3000
const range = (length: number) => Array.from({ length }, (_, index) => index)
const toolCall = (index: number) => ({
  index,
  id: `call_${index}a`,
  type: 'function',
  function: { name: 'f', arguments: '{}' },
})
const chunk = (choices: readonly object[]) => ({
  id: 'c1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'm',
  choices,
})
const said = (index: number) => ({ index, delta: { role: 'assistant', content: 'x' } })
const whole = (message: object, more: object = {}) => ({
  ...chatCompletion('m'),
  choices: [{ index: 0, message, finish_reason: 'stop' }],
  ...more,
})

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const DEEP_CHUNK = JSON.stringify({ ...chunk([said(0)]), created: 0.5, x: 0 }).replace(
  '"x":0',
  `"x":${nested(100_000)}`,
)

const streams: [string, (object | string)[]][] = [
  [
    'thousands of tool calls',
    [chunk([{ index: 0, delta: { role: 'assistant', tool_calls: range(MANY).map(toolCall) } }])],
  ],
  ['thousands of choices', [chunk(range(MANY).map(said))]],
  ['a choice of a huge number', [chunk([said(1e9)])]],
  ['a choice below the first', [chunk([said(-1)])]],
  ['half a choice', [chunk([said(0.5)])]],
  ['events with more levels than can be written', [DEEP_CHUNK]],
  [
    'events with more members than can be read in time',
    [{ ...chunk([said(0)]), x: Object.fromEntries(range(200_001).map(at => [`k${at}`, 0])) }],
  ],
]

test.each(streams)('a stream of %s is not read, and another server answers', async (_, events) => {
  await using hostile = await startModelServer(sse([...events, '[DONE]']))
  await using sound = await startModelServer(openAiScript())
  await using gateway = await startGateway(configOf([hostile, sound]))

  const response = await gateway.chat({ stream: true })

  expect(await response.text()).toEndWith('data: [DONE]\n\n')
  expect([response.status, response.headers.get('x-citadel-server')]).toEqual([200, 'b'])
  expect(hostile.calls).toHaveLength(1)
})

const answers: [string, string][] = [
  ['thousands of tool calls', JSON.stringify(whole({ role: 'assistant', tool_calls: range(MANY).map(toolCall) }))],
  [
    'more levels than can be written',
    JSON.stringify(whole({ content: 'x' }, { x: 0 })).replace('"x":0', `"x":${nested(100_000)}`),
  ],
  ['a million levels', JSON.stringify(whole({ content: 'x' }, { x: 0 })).replace('"x":0', `"x":${nested(1_000_000)}`)],
  [
    'more members than can be read in time',
    JSON.stringify(
      whole({ role: 'assistant', content: 'x' }, { x: Object.fromEntries(range(1_000_001).map(at => [`k${at}`, 0])) }),
    ),
  ],
  [
    'more objects than can be read in time',
    JSON.stringify(whole({ content: 'x' }, { x: range(1_000_001).map(() => ({})) })),
  ],
]

test.each(answers)('an answer of %s is not taken, and another server answers', async (_, answer) => {
  await using hostile = await startModelServer(json(200, answer))
  await using sound = await startModelServer(openAiScript())
  await using gateway = await startGateway(configOf([hostile, sound]))

  const response = await gateway.chat()

  expect(await response.json()).toHaveProperty('choices')
  expect([response.status, response.headers.get('x-citadel-server')]).toEqual([200, 'b'])
  expect(hostile.calls).toHaveLength(1)
})

test('thousands of calls, or candidates, of Gemini are not read either', async () => {
  const parts = range(MANY).map(at => ({ functionCall: { id: `a${at}`, name: 'f', args: {} } }))
  const answer = { candidates: [{ index: 0, content: { role: 'model', parts }, finishReason: 'STOP' }] }
  const late = {
    candidates: [{ index: 1e9, content: { role: 'model', parts: [{ text: 'x' }] }, finishReason: 'STOP' }],
  }
  await using hostile = await startModelServer(({ path }) =>
    path.includes('stream') ? sse([answer, late]) : json(200, answer),
  )
  await using gateway = await startGateway(configOf([hostile], { kind: 'gemini', retry: { max_attempts: 1 } }))

  const [streamed, plain] = [await gateway.chat({ stream: true }), await gateway.chat()]

  expect(await streamed.json()).toMatchObject({ error: { attempts: [{ result: 'upstream_error' }] } })
  expect(await plain.json()).toMatchObject({ error: { attempts: [{ result: 'upstream_invalid_response' }] } })
})

test('an error of more levels than can be written is told without its words', async () => {
  await using hostile = await startModelServer(json(400, `{"error":{"message":{"x":${nested(31_000)}}}}`))
  await using gateway = await startGateway(configOf([hostile]))

  const response = await gateway.chat()

  expect(response.status).toBe(400)
  expect(await response.text()).not.toContain('[[')
})

test('embeddings with members without end are not read', async () => {
  const x = Object.fromEntries(range(100_001).map(at => [`k${at}`, 0]))
  const data = [{ object: 'embedding', index: 0, embedding: [0.5] }]
  await using hostile = await startModelServer(json(200, { object: 'list', data, model: 'm', x }))
  await using gateway = await startGateway(configOf([hostile], { retry: { max_attempts: 1 } }))

  const response = await fetch(`${gateway.url}/v1/embeddings`, {
    method: 'POST',
    body: JSON.stringify({ model: 'chat', input: 'a' }),
  })

  expect(await response.json()).toMatchObject({ error: { code: 'upstream_invalid_response' } })
})
