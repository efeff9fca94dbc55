import { describe, expect, test } from 'bun:test'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import { dataFrames, replay, textsOf } from '#tests/providers/replay.ts'
import { call } from '#tests/support/calls.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

type Json = Readonly<Record<string, unknown>>

const head = { id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm' }
const event = (delta: Json, finish_reason: string | null = null) =>
  `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, finish_reason }] })}\n\n`
const role = event({ role: 'assistant', content: null })
const finish = event({}, 'tool_calls')

/** Sends these lists of tool calls, a delta each, and gives what the caller receives of them. */
function run(...deltas: (readonly Json[])[]) {
  const body = [role, ...deltas.map(tool_calls => event({ tool_calls })), finish].join('')
  const { frames } = replay(openaiCompatible, call(), body)
  return {
    problems: strictProblems(textsOf(frames)),
    calls: textsOf(frames).flatMap(text => JSON.parse(text.slice(6)).choices[0].delta.tool_calls ?? []) as Json[],
    texts: textsOf(frames),
  }
}

const opening = { index: 0, id: 'call_1', type: 'function', function: { name: 'f', arguments: '' } }
const more = { index: 0, function: { arguments: '{}' } }

test('go on as they came from OpenAI', () => {
  const { problems, texts } = run([opening], [more])

  expect(problems).toEqual([])
  expect(texts).toEqual([role, event({ tool_calls: [opening] }), event({ tool_calls: [more] }), finish])
})

test('that begin at index 1 are numbered from 0', () => {
  const { problems, calls } = run(
    [{ ...opening, index: 1 }],
    [{ ...more, index: 1 }],
    [{ ...opening, index: 3, id: 'b' }],
    [{ ...more, index: 3 }],
  )

  expect(problems).toEqual([])
  expect(calls.map(each => each.index)).toEqual([0, 0, 1, 1])
})

test('of several at once may come in one delta', () => {
  const { problems, calls } = run([opening, { ...opening, index: 1, id: 'call_2' }], [more, { ...more, index: 1 }])

  expect(problems).toEqual([])
  expect(calls.map(each => each.index)).toEqual([0, 1, 0, 1])
})

describe('what a first delta lacks is filled in', () => {
  const whole = { name: 'f', arguments: '{}' }

  test.each<[string, Json]>([
    ['the index', { id: 'a', type: 'function', function: whole }],
    ['the type', { index: 0, id: 'a', function: whole }],
    ['the type, being empty', { index: 0, id: 'a', type: '', function: whole }],
    ['the id', { index: 0, type: 'function', function: whole }],
    ['the id, being empty', { index: 0, id: '', type: 'function', function: whole }],
    ['the id, being null', { index: 0, id: null, type: 'function', function: whole }],
    ['nearly everything', { function: whole }],
  ])('%s', (_, given) => {
    const { problems, calls } = run([given])

    expect(problems).toEqual([])
    expect(calls).toEqual([
      { index: 0, id: given.id || expect.stringMatching(/^call_[0-9a-f]{24}$/), type: 'function', function: whole },
    ])
  })

  test('the arguments, where the first delta has none', () => {
    expect(run([{ ...opening, function: { name: 'f' } }], [more])).toMatchObject({
      problems: [],
      calls: [opening, more],
    })
  })

  test('arguments as an object become text', () => {
    expect(run([{ ...opening, function: { name: 'f', arguments: { a: 1 } } }])).toMatchObject({
      problems: [],
      calls: [{ function: { arguments: '{"a":1}' } }],
    })
  })

  test('an id always the same for the same answer, and another one for another call', () => {
    const one = { function: whole }
    const ids = () => run([one, one], [one]).calls.map(each => each.id)

    expect(new Set(ids()).size).toBe(3)
    expect(ids()).toEqual(ids())
  })
})

describe('calls without an index', () => {
  const bare = (id: string | undefined, name: string | undefined, text: string) => ({
    id,
    function: { name, arguments: text },
  })

  test('that come whole are calls of their own', () => {
    const { problems, calls } = run([bare('a', 'f', '{}')], [bare('b', 'g', '{}')])

    expect(problems).toEqual([])
    expect(calls.map(each => each.index)).toEqual([0, 1])
  })

  test('are continued by their id, or else the last one is', () => {
    const { problems, calls } = run(
      [bare('a', 'f', '{"x"')],
      [bare(undefined, undefined, ':')],
      [bare('a', undefined, '1}')],
    )

    expect(problems).toEqual([])
    expect(calls.map(each => each.index)).toEqual([0, 0, 0])
  })
})

describe('what is repeated', () => {
  test('of id, type and name is said once, for clients that append', () => {
    const again = (text: string) => ({ ...opening, function: { name: 'f', arguments: text } })

    const { problems, calls } = run([again('{')], [again('}')])

    expect(problems).toEqual([])
    expect(calls[1]).toEqual({ index: 0, type: 'function', function: { arguments: '}' } })
  })

  test.each([null, ''])('in later deltas as %j is left out', empty => {
    const { problems, calls } = run([opening], [{ index: 0, id: empty, function: { name: empty, arguments: '{}' } }])

    expect(problems).toEqual([])
    expect(calls[1]).toEqual({ index: 0, function: { arguments: '{}' } })
  })

  test('of an index by calls with other ids is another call each', () => {
    const { problems, calls } = run(
      [{ ...opening, id: 'a', function: { name: 'f', arguments: '{}' } }],
      [{ ...opening, id: 'b', function: { name: 'g', arguments: '{"b"' } }],
      [{ index: 0, function: { arguments: ':1}' } }],
    )

    expect(problems).toEqual([])
    expect(calls.map(each => [each.index, each.id])).toEqual([
      [0, 'a'],
      [1, 'b'],
      [1, undefined],
    ])
  })
})

describe('what is no call, or no part of one, is left out:', () => {
  test.each<[string, unknown, Json]>([
    ['a number', 0, {}],
    ['an object', { a: 1 }, {}],
    ['a list of null', [null], { tool_calls: [] }],
    ['a list of texts', ['a'], { tool_calls: [] }],
  ])('%s in place of the list', (_, tool_calls, left) => {
    const { frames } = replay(openaiCompatible, call(), [role, event({ tool_calls }), event({}, 'stop')].join(''))

    expect(strictProblems(textsOf(frames))).toEqual([])
    expect(dataFrames(frames).map(({ kind }) => kind)).toEqual(['start', 'start', 'finish'])
    expect(JSON.parse(textsOf(frames)[1]?.slice(6) ?? '').choices[0].delta).toEqual(left)
  })

  test('null among the calls of a delta', () => {
    const body = [role, event({ tool_calls: [null, opening] }), event({ tool_calls: [more, null] }), finish].join('')

    const texts = textsOf(replay(openaiCompatible, call(), body).frames)

    expect(texts).toEqual([role, event({ tool_calls: [opening] }), event({ tool_calls: [more] }), finish])
  })

  test.each([
    [null, ''],
    [{ a: 1 }, '{"a":1}'],
  ])('%j for the arguments of a later piece', (given, text) => {
    const piece = { index: 0, function: { arguments: given } }
    const { problems, calls } = run([opening], given === null ? [piece, more] : [piece])

    expect(problems).toEqual([])
    expect(calls[1]).toEqual({ index: 0, function: { arguments: text } })
  })

  test.each([null, 5])('%j in place of the name', name => {
    for (const type of ['function', 'another']) {
      const { calls } = run([{ ...opening, type, function: { name, arguments: '' } }])

      expect(calls).toEqual([{ ...opening, type, function: { name: '', arguments: '' } }])
    }
  })
})

test('custom tools pass untouched', () => {
  const custom = { index: 0, id: 'a', type: 'custom', custom: { name: 'f', input: 'x' } }

  expect(run([custom]).calls).toEqual([custom])
})

test('each choice has tool calls of its own', () => {
  const of = (index: number) => ({
    index,
    delta: { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '{}' } }] },
    finish_reason: 'tool_calls',
  })
  const body = `data: ${JSON.stringify({ ...head, choices: [of(0), of(1)] })}\n\n`

  const { frames } = replay(openaiCompatible, call(), body)

  const ids = dataFrames(frames)[0]?.chunk.choices?.map(choice => choice.delta?.tool_calls?.[0]?.id)
  expect(strictProblems(textsOf(frames))).toEqual([])
  expect(new Set(ids).size).toBe(2)
})

describe('without ids, and all with index 0, are told apart', () => {
  const named = (name: string, city: string) => ({
    index: 0,
    id: '',
    type: 'function',
    function: { name, arguments: JSON.stringify({ city }) },
  })

  test.each<[string, (readonly Json[])[]]>([
    ['by their names', [[named('weather', 'Rome')], [named('time', 'Rome')]]],
    ['in one delta', [[named('weather', 'Rome'), named('weather', 'Oslo')]]],
  ])('%s', (_, deltas) => {
    const { problems, calls } = run(...deltas)

    expect(problems).toEqual([])
    expect(calls.map(each => each.index)).toEqual([0, 1])
  })
})
