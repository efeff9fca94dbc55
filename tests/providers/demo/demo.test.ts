import { describe, expect, test } from 'bun:test'
import type { Call, Endpoint } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { demo } from '#providers/demo/index.ts'
import { createDemoTransport } from '#providers/demo/transport.ts'
import { toVector } from '#providers/demo/vector.ts'
import { dataFrames, replay, textsOf } from '#tests/providers/replay.ts'
import { call, server, target, timeouts } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

type Body = Call['body']

const at = target('demo', { server: server('demo', { kind: 'demo', baseUrl: 'demo:' }), upstreamModel: 'citadel-demo' })
const saying = (content: string): Body => ({ messages: [{ role: 'user', content }] })

/** Sends a body to the demonstration model through its own transport. */
async function send(body: Body, endpoint: Endpoint = 'chat', model = 'citadel-demo') {
  const clock = fakeClock()
  const transport = createDemoTransport({ clock })
  const outgoing = demo.encode(call({ endpoint, body, stream: false }), { ...at, upstreamModel: model }, null)
  const incoming = await transport(outgoing, createScope(clock), timeouts)
  const text = await incoming.text(10_000_000)
  if (incoming.head.status !== 200) return demo.decodeError(incoming.head, text)
  const answer = demo.decode(call({ endpoint, body, stream: false }), text)
  return answer instanceof GatewayError ? answer : { ...answer, body: JSON.parse(answer.text) }
}

/** Streams the answer to a body; gives the frames, and what was waited. */
async function stream(body: Body, endpoint: Endpoint = 'chat') {
  const clock = fakeClock()
  const asked = call({ endpoint, body: { ...body, stream: true } })
  const incoming = await createDemoTransport({ clock })(demo.encode(asked, at, null), createScope(clock), timeouts)
  let text = ''
  for (;;) {
    const reading = incoming.read()
    clock.advance(25)
    const bytes = await reading
    if (bytes === null) break
    text += new TextDecoder().decode(bytes)
  }
  return { ...replay(demo, asked, text), waitedMs: clock.now(), text }
}

describe('the demonstration model', () => {
  test('says what it is, and what it was told', async () => {
    const answer = await send(saying('  Good morning!  '))

    expect(answer).toMatchObject({
      body: {
        object: 'chat.completion',
        model: 'citadel-demo',
        created: 1767225600,
        choices: [{ index: 0, message: { role: 'assistant' }, finish_reason: 'stop' }],
      },
      usage: { input: 2, estimated: false },
    })
    expect('body' in answer && answer.body.choices[0].message.content).toBe(
      'This is citadel-demo, the built-in demonstration model of this gateway. It repeats what it is told. You said: “Good morning!”',
    )
  })

  test('always gives the same answer to the same request', async () => {
    expect(await send(saying('Hi'))).toEqual(await send(saying('Hi')))
  })

  test('streams the same text word by word', async () => {
    const plain = await send(saying('Hi there'))
    const { frames, skipped, waitedMs } = await stream(saying('Hi there'))

    const content = dataFrames(frames).map(({ chunk }) => chunk.choices?.[0]?.delta?.content ?? '')
    expect(skipped).toBe(0)
    expect(strictProblems(textsOf(frames))).toEqual([])
    expect(content.join('')).toBe('body' in plain ? plain.body.choices[0].message.content : '')
    expect(content.filter(word => word !== '').length).toBeGreaterThan(15)
    expect(waitedMs).toBeGreaterThan(15 * 25)
    expect(frames.at(-1)).toMatchObject({ kind: 'usage', usage: { input: 2 } })
  })

  test('quotes only the beginning of a long text, and copes with none', async () => {
    const long = await send(saying('a'.repeat(5000)))
    const none = await send(saying(''))

    expect('text' in long && long.text.length).toBeLessThan(900)
    expect('text' in none && none.text).toContain('You sent no text.')
  })

  test('is quick over a text of blanks', async () => {
    const before = process.cpuUsage()
    const answers = [' '.repeat(100_000), `a${' '.repeat(100_000)}b `, `${' '.repeat(100_000)}a`].map(async text => {
      const answer = await send(saying(text))
      return 'usage' in answer && answer.usage?.input
    })

    expect(await Promise.all(answers)).toEqual([0, 2, 1])
    expect(process.cpuUsage(before).user).toBeLessThan(500_000)
  })

  test('reads content that is given in parts', async () => {
    const answer = await send({
      messages: [{ role: 'user', content: [{ type: 'text', text: 'parts' }, { type: 'image_url' }] }],
    })

    expect('text' in answer && answer.text).toContain('“parts”')
  })

  test.each([
    [{ max_tokens: 3 }, 'This is citadel-demo,', 'length'],
    [{ max_tokens: 3, max_completion_tokens: 2 }, 'This is', 'length'],
  ])('ends its answer at the limit %j', async (limit, content, finish_reason) => {
    expect(await send({ ...saying('Hi'), ...limit })).toMatchObject({
      body: { choices: [{ message: { content }, finish_reason }] },
    })
  })

  test('completes a prompt, plain and streamed', async () => {
    const plain = await send({ prompt: 'Once upon' }, 'completions')
    const streamed = await stream({ prompt: 'Once upon' }, 'completions')

    expect(plain).toMatchObject({
      body: { object: 'text_completion', choices: [{ text: expect.stringContaining('“Once upon”') }] },
      usage: { input: 2 },
    })
    expect(strictProblems(textsOf(streamed.frames), { completions: true })).toEqual([])
  })

  test('answers in JSON when that is asked', async () => {
    const schema = {
      type: 'object',
      properties: { age: { type: 'integer' }, name: { type: 'string' } },
      required: ['age'],
    }
    const object = await send({ ...saying('Hi'), response_format: { type: 'json_object' } })
    const typed = await send({
      ...saying('Hi'),
      response_format: { type: 'json_schema', json_schema: { name: 'a', schema } },
    })

    expect('body' in object && JSON.parse(object.body.choices[0].message.content)).toHaveProperty('answer')
    expect('body' in typed && JSON.parse(typed.body.choices[0].message.content)).toEqual({ age: 0 })
  })

  test.each<[Endpoint, Body, string]>([
    ['chat', { ...saying('Hi'), n: 2 }, 'n'],
    ['completions', { prompt: 'Hi', n: 2 }, 'n'],
    ['completions', { prompt: ['Hi', 'there'] }, 'prompt'],
    ['completions', { prompt: [[1], [2]] }, 'prompt'],
  ])('refuses what needs several choices: %s of %j', async (endpoint, body, param) => {
    const refusal = await send(body, endpoint).catch(thrown => thrown)

    expect(refusal).toMatchObject({ code: 'unsupported_parameter', param })
  })

  test('says what it leaves out', () => {
    const body = { ...saying('Hi'), stop: ['x'], logprobs: true, top_logprobs: 2, temperature: 0 }

    expect(demo.encode(call({ body }), at, null).dropped).toEqual(['stop', 'logprobs', 'top_logprobs'])
  })

  test('knows no other model', async () => {
    expect(await send(saying('Hi'), 'chat', 'gpt-4')).toMatchObject({ code: 'model_not_found' })
  })
})

describe('tools', () => {
  const parameters = {
    type: 'object',
    properties: {
      city: { type: 'string' },
      unit: { enum: ['celsius', 'fahrenheit'] },
      days: { type: 'integer', minimum: 1 },
      tags: { type: 'array' },
      place: { type: 'object', properties: { lat: { type: 'number' } }, required: ['lat'] },
      extra: { type: 'string' },
    },
    required: ['city', 'unit', 'days', 'tags', 'place'],
  }
  const tools = [
    { type: 'function', function: { name: 'noop' } },
    { type: 'function', function: { name: 'weather', parameters } },
  ]
  const forced = { type: 'function', function: { name: 'weather' } }

  test('are called when the caller leaves no choice, with what the schema requires', async () => {
    const answer = await send({ ...saying('Hi'), tools, tool_choice: forced })

    const [choice] = 'body' in answer ? answer.body.choices : []
    expect(choice).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } })
    expect(choice.message.tool_calls).toMatchObject([
      { id: expect.stringMatching(/^call_/), type: 'function', function: { name: 'weather' } },
    ])
    expect(JSON.parse(choice.message.tool_calls[0].function.arguments)).toEqual({
      city: 'demo',
      unit: 'celsius',
      days: 1,
      tags: [],
      place: { lat: 0 },
    })
  })

  test('are called in a streamed answer, too', async () => {
    const { frames } = await stream({ ...saying('Hi'), tools, tool_choice: 'required' })

    expect(strictProblems(textsOf(frames))).toEqual([])
    expect(textsOf(frames).join('')).toContain('"noop"')
  })

  test.each(['auto', 'none', undefined])('are not called with the choice %p', async tool_choice => {
    expect(await send({ ...saying('Hi'), tools, ...(tool_choice && { tool_choice }) })).toMatchObject({
      body: { choices: [{ finish_reason: 'stop' }] },
    })
  })

  test('are quoted when they have answered', async () => {
    const answer = await send({ messages: [{ role: 'tool', tool_call_id: 'a', content: '21 degrees' }], tools })

    expect('text' in answer && answer.text).toContain('The tool answered: “21 degrees”')
  })
})

describe('embeddings', () => {
  test('are unit vectors, the same for the same text', () => {
    const vector = toVector('The quick brown fox', undefined)

    expect(vector).toHaveLength(256)
    expect(Math.hypot(...vector)).toBeCloseTo(1, 5)
    expect(toVector('The quick brown fox', undefined)).toEqual(vector)
  })

  test('of texts that share words lie near each other', () => {
    const dot = (a: string, b: string) => {
      const other = toVector(b, undefined)
      return toVector(a, undefined).reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0)
    }

    expect(dot('the red house by the sea', 'a red house near the sea')).toBeGreaterThan(0.5)
    expect(Math.abs(dot('the red house by the sea', 'compile errors annoy programmers'))).toBeLessThan(0.3)
  })

  test.each(['', '!!!'])('have length one for %j, too', text => {
    expect(Math.hypot(...toVector(text, 8))).toBe(1)
  })

  test.each<[Body, number]>([
    [{ input: 'a' }, 1],
    [{ input: ['a', 'b'], encoding_format: 'base64' }, 2],
    [{ input: [1, 2, 3] }, 1],
    [{ input: [[1], [2], [3]], dimensions: 16 }, 3],
  ])('for %j are this many: %i', async (body, count) => {
    const answer = await send(body, 'embeddings')

    const data = 'body' in answer ? answer.body.data : []
    expect(data).toHaveLength(count)
    expect(typeof data[0].embedding).toBe(body.encoding_format === 'base64' ? 'string' : 'object')
    if (body.dimensions) expect(data[0].embedding).toHaveLength(16)
    expect('usage' in answer && answer.usage?.input).toBeGreaterThan(0)
  })
})

test('the list of models has only the demonstration model', async () => {
  const clock = fakeClock()
  const [probe] = demo.catalog.probes(at.server)
  const incoming = await createDemoTransport({ clock })(
    probe ?? demo.catalog.list(at.server, null),
    createScope(clock),
    timeouts,
  )

  expect(incoming.head.status).toBe(200)
  expect(demo.catalog.decodeList(await incoming.text(1000))).toMatchObject([{ id: 'citadel-demo', ownedBy: 'citadel' }])
})

describe('the transport', () => {
  const cause = new GatewayError('client_closed_request', 'gone')

  async function open(body: Body = { ...saying('Hi'), stream: true }) {
    const clock = fakeClock()
    const scope = createScope(clock)
    const outgoing = demo.encode(call({ body, stream: body.stream === true }), at, null)
    const incoming = await createDemoTransport({ clock })(outgoing, scope, timeouts)
    return { clock, scope, incoming }
  }

  test('says what kind of answer comes', async () => {
    expect((await open()).incoming.head.header('content-type')).toBe('text/event-stream')
    expect((await open(saying('Hi'))).incoming.head.header('content-type')).toBe('application/json')
  })

  test('gives the first event at once and the next after a pause', async () => {
    const { clock, incoming } = await open()
    await incoming.read()

    let read = false
    const second = incoming.read().then(() => {
      read = true
    })
    clock.advance(24)
    await Promise.resolve()
    expect(read).toBe(false)
    clock.advance(1)
    await second

    expect(clock.pending).toBe(0)
  })

  test('ends with its scope, also in the middle of a pause', async () => {
    const { clock, scope, incoming } = await open()
    await incoming.read()
    const reading = incoming.read()

    scope.cancel(cause)

    await expect(reading).rejects.toBe(cause)
    await expect(incoming.read()).rejects.toBe(cause)
    expect(clock.pending).toBe(0)
  })

  test('ends when it is closed, also in the middle of a pause', async () => {
    const { clock, incoming } = await open()
    await incoming.read()
    const reading = incoming.read()

    incoming.close()

    expect(await reading).toBeNull()
    expect(await incoming.read()).toBeNull()
    expect(clock.pending).toBe(0)
  })

  test('does not begin in a scope that has ended', async () => {
    const clock = fakeClock()
    const scope = createScope(clock)
    scope.cancel(cause)

    await expect(createDemoTransport({ clock })(demo.encode(call(), at, null), scope, timeouts)).rejects.toBe(cause)
  })

  test('refuses a body past the bound, and one that is no JSON', async () => {
    const { incoming } = await open(saying('Hi'))
    await expect(incoming.text(10)).rejects.toMatchObject({ code: 'upstream_invalid_response' })

    const clock = fakeClock()
    const outgoing = { method: 'POST', url: 'demo:/chat/completions', headers: {}, body: ['{'] } as const
    expect((await createDemoTransport({ clock })(outgoing, createScope(clock), timeouts)).head.status).toBe(400)
  })
})
