import { describe, expect, test } from 'bun:test'
import type { Call } from '#core/call.ts'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import { contentOf, dataFrames, replay, textsOf } from '#tests/providers/replay.ts'
import { call } from '#tests/support/calls.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

type Json = Readonly<Record<string, unknown>>

const head = { id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm' }
const usage = { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 }
/** A head, for events that are written by hand. */
const written = '"id":"c1","object":"chat.completion.chunk","created":1,"model":"m"'
const event = (value: unknown) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`
const choice = (delta: Json | null, more: Json = {}) => ({ index: 0, delta, finish_reason: null, ...more })
const chunk = (choices: unknown, more: Json = {}) => event({ ...head, choices, ...more })
const delta = (value: Json, more: Json = {}) => chunk([choice(value, more)])
const role = delta({ role: 'assistant', content: '' })
const finish = delta({}, { finish_reason: 'stop' })
const done = event('[DONE]')

function run(events: readonly string[], more: Partial<Call> = {}) {
  return replay(openaiCompatible, call(more), events.join(''))
}

function kindsOf(events: readonly string[], more: Partial<Call> = {}): string[] {
  return run(events, more).frames.map(frame => frame.kind)
}

describe('kinds', () => {
  test.each<[string, string, string]>([
    ['role only', role, 'start'],
    ['role and null content', delta({ role: 'assistant', content: null }), 'start'],
    ['content', delta({ role: 'assistant', content: 'a' }), 'delta'],
    ['reasoning_content', delta({ role: 'assistant', reasoning_content: 'a' }), 'delta'],
    ['reasoning', delta({ role: 'assistant', content: '', reasoning: 'a' }), 'delta'],
    ['a refusal', delta({ role: 'assistant', refusal: 'no' }), 'delta'],
    ['audio', delta({ role: 'assistant', audio: { id: 'a' } }), 'delta'],
    ['a legacy function call', delta({ role: 'assistant', function_call: { name: 'f' } }), 'delta'],
    ['content in parts', delta({ role: 'assistant', content: [{ type: 'text', text: 'a' }] }), 'delta'],
    ['an empty list of tool calls', delta({ role: 'assistant', content: null, tool_calls: [] }), 'start'],
    ['content and a finish', delta({ role: 'assistant', content: 'a' }, { finish_reason: 'stop' }), 'finish'],
    ['an empty finish_reason', delta({ role: 'assistant' }, { finish_reason: '' }), 'start'],
  ])('%s', (_, text, kind) => {
    expect(kindsOf([text])).toEqual([kind])
  })

  test('of the same deltas later in a stream', () => {
    const later = [delta({}), delta({ content: '' }), delta({ content: 'a' }), delta({ reasoning: 'a' }), finish]

    expect(kindsOf([role, ...later])).toEqual(['start', 'start', 'start', 'delta', 'delta', 'finish'])
  })

  test('of text completions are told apart, too', () => {
    const text = (value: string, finish_reason: string | null = null) =>
      chunk([{ index: 0, text: value, finish_reason }])

    const kinds = kindsOf([text(''), text('a'), text('', 'length'), done], { endpoint: 'completions' })

    expect(kinds).toEqual(['start', 'delta', 'finish'])
  })
})

describe('text', () => {
  test('goes on as it came, odd spaces and unknown fields included', () => {
    const odd = `data: {"choices" : [ {"index":0,"delta":{"content":"é\\u00e9"} , "zzz":1}],${written}}\n\n`

    expect(textsOf(run([role, odd]).frames)).toEqual([role, odd])
  })

  test('is written anew when its event had several lines of data', () => {
    const broken = event({ ...head, choices: [choice({ content: 'a' })] }).replace(',"choices"', ',\ndata: "choices"')

    const texts = textsOf(run([role, broken]).frames)

    expect(texts[1]).toBe(delta({ content: 'a' }))
  })

  test.each([
    ['at the end', { usage: null }, {}],
    ['in the middle', { usage: null, obfuscation: 'x' }, { obfuscation: 'x' }],
  ])('loses a null usage that nobody asked for %s', (_, more, rest) => {
    const events = [role, chunk([choice({ content: 'a' })], more), chunk([choice({}, { finish_reason: 'stop' })], more)]

    const texts = textsOf(run(events).frames)

    expect(texts.slice(1)).toEqual([
      chunk([choice({ content: 'a' })], rest),
      chunk([choice({}, { finish_reason: 'stop' })], rest),
    ])
  })

  test('loses it also from spaced JSON and from the front', () => {
    const spaced = `data: {${written}, "choices": [{"index": 0, "delta": {"content": "a"}}], "usage": null}\n\n`
    const front = `data: {"usage":null,${written},"choices":[{"index":0,"delta":{"content":"b"}}]}\n\n`

    expect(textsOf(run([role, spaced, front]).frames).slice(1)).toEqual([
      `data: {${written}, "choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n`,
      `data: {${written},"choices":[{"index":0,"delta":{"content":"b"}}]}\n\n`,
    ])
  })

  test('keeps it for a caller who asked', () => {
    const asked = chunk([choice({ content: 'a' })], { usage: null })

    expect(textsOf(run([role, asked], { wantsUsage: true }).frames)[1]).toBe(asked)
  })

  test('that speaks of usage is not touched', () => {
    const quoting = chunk([choice({ content: ',"usage":null' })], { usage: null })

    const [, frame] = dataFrames(run([role, quoting]).frames)

    expect(JSON.parse(frame?.text.slice(6) ?? '')).toEqual({ ...head, choices: [choice({ content: ',"usage":null' })] })
  })
})

describe('roles', () => {
  test('are added where a server sends none, once per choice', () => {
    const second = { index: 1, delta: { content: 'b' }, finish_reason: null }
    const events = [delta({ content: 'a' }), chunk([second]), delta({ content: 'c' }), finish]

    const roles = dataFrames(run(events).frames).map(frame => frame.chunk.choices?.[0]?.delta?.role)

    expect(roles).toEqual(['assistant', 'assistant', undefined, undefined])
  })

  test.each([null, ''])('replace a role that is %j', given => {
    const [frame] = dataFrames(run([delta({ role: given, content: 'a' })]).frames)

    expect(frame?.chunk.choices?.[0]?.delta).toEqual({ role: 'assistant', content: 'a' })
  })

  test('wait for the first choice when the server begins without one', () => {
    const azure = event({ choices: [], created: 0, id: '', model: '', object: '', prompt_filter_results: [] })

    const { frames } = run([azure, delta({ content: 'a' }), finish, done])

    expect(frames.map(frame => frame.kind)).toEqual(['delta', 'finish'])
    expect(dataFrames(frames)[0]?.chunk).toMatchObject({ ...head, prompt_filter_results: [] })
    expect(strictProblems(textsOf(frames))).toEqual([])
  })
})

describe('the finish', () => {
  test('is told once, and what repeats it is dropped', () => {
    expect(kindsOf([role, finish, finish, finish, done])).toEqual(['start', 'finish'])
  })

  test('is sent once for each choice', () => {
    const second = (more: Json) => chunk([{ index: 1, delta: { role: 'assistant' }, finish_reason: null, ...more }])

    const { frames } = run([role, second({}), finish, second({ finish_reason: 'length' }), finish, done])

    expect(frames.map(frame => frame.kind)).toEqual(['start', 'start', 'finish', 'finish'])
    expect(strictProblems(textsOf(frames))).toEqual([])
  })

  test('does not swallow what still follows', () => {
    const late = delta({ content: 'late' }, { finish_reason: 'stop' })

    const { frames } = run([role, finish, late])

    expect(frames.map(frame => frame.kind)).toEqual(['start', 'finish', 'delta'])
    expect(dataFrames(frames)[2]?.chunk.choices?.[0]).toMatchObject({ delta: { content: 'late' }, finish_reason: null })
  })

  test('is made up where a server only says [DONE]', () => {
    const { frames } = run([role, delta({ content: 'a' }), done])

    expect(frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'finish'])
    expect(strictProblems(textsOf(frames))).toEqual([])
    expect(dataFrames(frames)[2]?.chunk).toMatchObject({ id: 'c1', model: 'm', choices: [{ finish_reason: 'stop' }] })
  })

  test('names the tool calls when it is made up', () => {
    const tool = { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }

    const { frames } = run([role, delta({ tool_calls: [tool] }), done])

    expect(dataFrames(frames)[2]?.chunk.choices?.[0]?.finish_reason).toBe('tool_calls')
  })

  test('is not made up when the connection merely closes', () => {
    expect(kindsOf([role, delta({ content: 'a' })])).toEqual(['start', 'delta'])
  })

  test('ends the reading: nothing behind it is passed on', () => {
    expect(kindsOf([role, finish, done, delta({ content: 'a' })])).toEqual(['start', 'finish'])
  })
})

describe('usage', () => {
  const counted = { input: 10, cacheRead: 0, cacheWrite: 0, output: 4, reasoning: 0, estimated: false }
  const own = chunk([], { usage })
  const first = { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11 }

  test('in its own chunk goes on as it came', () => {
    const { frames } = run([role, finish, own, done])

    expect(dataFrames(frames).at(-1)).toMatchObject({ kind: 'usage', text: own, usage: counted })
  })

  test.each<[string, string]>([
    ['in the finish', chunk([choice({}, { finish_reason: 'stop' })], { usage })],
    ['in x_groq', chunk([choice({}, { finish_reason: 'stop' })], { x_groq: { id: 'r', usage } })],
    ['in the choice', chunk([choice({}, { finish_reason: 'stop', usage })])],
    ['in a repeated finish', finish + chunk([choice({ content: '' }, { finish_reason: 'stop' })], { usage })],
    ['beside an empty delta', finish + chunk([choice({ role: 'assistant', content: '' })], { usage })],
    ['without choices', finish + event({ ...head, usage })],
    ['before the finish', own + finish],
    [
      'in every chunk, and the last count behind the finish',
      chunk([choice({ content: 'a' })], { usage: { prompt_tokens: 10, completion_tokens: 1 } }) + finish + own,
    ],
    [
      'in every chunk',
      chunk([choice({ content: 'a' })], { usage: { prompt_tokens: 10, completion_tokens: 1 } }) +
        chunk([choice({}, { finish_reason: 'stop' })], { usage }),
    ],
    ['twice', chunk([choice({}, { finish_reason: 'stop' })], { usage }) + own],
  ])('%s becomes a chunk of its own', (_, rest) => {
    for (const wantsUsage of [false, true]) {
      const { frames } = run([role, rest, done], { wantsUsage })

      const last = dataFrames(frames).at(-1)
      expect(frames.filter(frame => frame.kind === 'usage')).toHaveLength(1)
      expect(last).toMatchObject({ kind: 'usage', usage: counted, chunk: { choices: [], usage, model: 'm' } })
      expect(strictProblems(textsOf(frames, wantsUsage), { usage: wantsUsage })).toEqual([])
    }
  })

  test('keeps the rest of what it stood in', () => {
    const { frames } = run([
      role,
      chunk([choice({}, { finish_reason: 'stop' })], { usage, x_groq: { id: 'r', usage } }),
    ])

    expect(textsOf(frames)[1]).toBe(chunk([choice({}, { finish_reason: 'stop' })], { x_groq: { id: 'r' } }))
  })

  test('of several choices waits for the last of them', () => {
    const end = (index: number) => chunk([{ index, delta: { role: 'assistant' }, finish_reason: 'stop' }], { usage })

    expect(kindsOf([role, chunk([{ index: 1, delta: {} }]), end(0), end(1)])).toEqual([
      'start',
      'start',
      'finish',
      'finish',
      'usage',
    ])
  })

  test.each([
    ['in each finish', [{ usage: first }, { usage }], []],
    // vLLM, where it is asked to count in every chunk.
    ['behind finishes that count their choice alone', [{ usage: first }, { usage: first }], ['', own]],
    ['behind each choice', [{}, {}], [chunk([], { usage: first }), own]],
  ] as const)('of choices that come one after the other is the last one, also %s', (_, ends, behind) => {
    const events = ends.flatMap((more, index) => [
      chunk([{ index, delta: { role: 'assistant', content: 'a' }, finish_reason: null }]),
      chunk([{ index, delta: {}, finish_reason: 'stop' }], more),
      behind[index] ?? '',
    ])

    const counts = dataFrames(run([...events, done], { body: { n: 2 } }).frames).filter(frame => frame.usage !== null)

    expect(counts.at(-1)?.kind).toBe('usage')
    expect(counts.map(frame => frame.usage)).toEqual(counts.map(() => counted))
  })

  test('of a server that gives fewer choices than it was asked for comes with the end', () => {
    expect(kindsOf([role, finish, own, done], { body: { n: 2 } })).toEqual(['start', 'finish', 'usage'])
    expect(kindsOf([role, finish, own], { body: { n: 2 } })).toEqual(['start', 'finish', 'usage'])
  })

  test('is known as it grows, for an answer that breaks off', () => {
    const { frames } = run([role, chunk([choice({ content: 'a' })], { usage })])

    expect(dataFrames(frames)[1]).toMatchObject({ usage: null, soFar: counted })
  })

  test.each([null, {}, { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }])(
    'is not counted from %j',
    nothing => {
      expect(kindsOf([role, chunk([choice({}, { finish_reason: 'stop' })], { usage: nothing })])).toEqual([
        'start',
        'finish',
      ])
    },
  )
})

describe('what is no chunk', () => {
  test.each(['<html>', '{"id":', 'null', '[]', '"a"', '1'])('%s is skipped and changes nothing', text => {
    const { frames, skipped } = run([role, event(text), delta({ content: 'a' }), finish])

    expect(skipped).toBe(1)
    expect(textsOf(frames)).toEqual([role, delta({ content: 'a' }), finish])
  })

  test.each(['', '{}', '{"type":"ping"}', '{"object":"keepalive"}'])('the data %j is skipped as a keep-alive', text => {
    expect(run([role, event(text), finish])).toMatchObject({
      skipped: 0,
      frames: [{ kind: 'start' }, { kind: 'finish' }],
    })
  })
})

describe('a choice that breaks the rules', () => {
  test.each<[string, Json]>([
    ['no delta', { index: 0, finish_reason: null, content_filter_results: {} }],
    ['a null delta', { index: 0, delta: null, finish_reason: null }],
    ['no index', { delta: {}, finish_reason: null }],
  ])('%s', (_, broken) => {
    const { frames } = run([role, chunk([broken]), finish])

    expect(frames.map(frame => frame.kind)).toEqual(['start', 'start', 'finish'])
    expect(strictProblems(textsOf(frames))).toEqual([])
  })

  test('null among the choices is left out', () => {
    expect(strictProblems(textsOf(run([role, chunk([null, choice({ content: 'a' })]), finish]).frames))).toEqual([])
  })
})

describe('an error', () => {
  test.each<[string, unknown, string]>([
    ["OpenAI's", { error: { message: 'm', type: 'server_error', code: null } }, 'upstream_error'],
    [
      "OpenRouter's",
      { ...head, error: { code: 502, message: 'm' }, choices: [choice({}, { finish_reason: 'error' })] },
      'upstream_error',
    ],
    ["OpenRouter's limit", { error: { code: 429, message: 'm' } }, 'provider_rate_limited'],
    ["vLLM's", { object: 'error', message: 'm', type: 'BadRequestError', code: 400 }, 'invalid_request'],
    ['a string', { error: 'out of memory' }, 'upstream_error'],
    ['a detail', { detail: 'Service unavailable' }, 'upstream_error'],
    ['a finish_reason', chunk([choice({}, { finish_reason: 'error' })]).slice(6), 'upstream_error'],
    [
      'too long a prompt',
      { error: { message: 'maximum context length is 8 tokens', code: 400 } },
      'context_length_exceeded',
    ],
    ['an overdrawn account', { error: { message: 'm', code: 'insufficient_quota' } }, 'insufficient_quota'],
    ['a bad key', { error: { message: 'm', code: 'invalid_api_key' } }, 'upstream_auth_failed'],
  ])('in the form of %s ends the stream', (_, body, code) => {
    const { frames } = run([role, event(typeof body === 'string' ? body.trim() : body), finish, done])

    expect(frames.map(frame => frame.kind)).toEqual(['start', 'error'])
    expect(frames[1]).toMatchObject({ kind: 'error', error: { code } })
  })

  test.each(['{"error":{"message":"m"}}', '{"message":"m"}', 'out of memory'])(
    'is recognised by the name of its event: %s',
    data => {
      const { frames, skipped } = run([role, `event: error\n${event(data)}`])

      expect(skipped).toBe(0)
      expect(frames[1]).toMatchObject({ kind: 'error', error: { code: 'upstream_error' } })
    },
  )

  test('is none when the field is null', () => {
    expect(kindsOf([role, chunk([choice({ content: 'a' })], { error: null })])).toEqual(['start', 'delta'])
  })
})

describe('the reducer', () => {
  test('never changes the state that it is given', () => {
    const reducer = openaiCompatible.stream(call())
    const tool = { index: 0, function: { name: 'f', arguments: '' } }
    const events = [role, delta({ content: 'a' }), delta({ tool_calls: [tool] }), finish, chunk([], { usage }), done]
    let state = reducer.start()

    for (const text of events) {
      const data = text.slice(6).trim()
      const first = reducer.step(state, { name: '', data })
      const second = reducer.step(state, { name: '', data })

      expect(second).toEqual(first)
      state = first[0]
    }
  })

  test('gives back the same state for the typical delta', () => {
    const reducer = openaiCompatible.stream(call())
    const [state] = reducer.step(reducer.start(), { name: '', data: role.slice(6).trim() })

    expect(reducer.step(state, { name: '', data: delta({ content: 'a' }).slice(6).trim() })[0]).toBe(state)
  })

  test('gives frames whose text and chunk agree', () => {
    const events = [delta({ content: 'a' }), chunk([choice({}, { finish_reason: 'stop' })], { usage }), done]

    for (const frame of dataFrames(run(events).frames))
      expect(JSON.parse(frame.text.slice(6))).toEqual(JSON.parse(JSON.stringify(frame.chunk)))
    expect(contentOf(run(events).frames)).toBe('a')
  })
})
