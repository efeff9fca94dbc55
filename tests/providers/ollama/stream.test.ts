import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Call } from '#core/call.ts'
import type { DataFrame } from '#core/frame.ts'
import { ollama } from '#providers/ollama/index.ts'
import { contentOf, dataFrames, replay, resultOf, textsOf } from '#tests/providers/replay.ts'
import { call } from '#tests/support/calls.ts'
import { splitsOf } from '#tests/support/splits.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

type Json = Readonly<Record<string, unknown>>

const head = { model: 'llama3.1', created_at: '2026-01-01T00:00:00.123456789Z' }
const line = (value: Json) => `${JSON.stringify({ ...head, done: false, ...value })}\n`
const said = (content: string, more: Json = {}) => line({ message: { role: 'assistant', content, ...more } })
const counts = { prompt_eval_count: 10, eval_count: 4 }
const done = (more: Json = { done_reason: 'stop' }) =>
  line({ message: { role: 'assistant', content: '' }, done: true, ...counts, ...more })
const tool = (name: string, more: Json = {}) => ({ function: { name, arguments: { a: 1 } }, ...more })

function run(lines: readonly string[], more: Partial<Call> = {}) {
  return replay(ollama, call(more), lines.join(''))
}

/** What the choices of the frames carry, without heads. */
function choicesOf(lines: readonly string[], more: Partial<Call> = {}): Json[] {
  return textsOf(run(lines, more).frames).flatMap(text => JSON.parse(text.slice(6)).choices)
}

test('a chat becomes chunks as OpenAI sends them', () => {
  const { frames, skipped } = run([said('Hel'), said('lo'), done()])

  expect(skipped).toBe(0)
  expect(frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'delta', 'finish', 'usage'])
  expect(strictProblems(textsOf(frames, true), { usage: true })).toEqual([])
  expect(strictProblems(textsOf(frames))).toEqual([])
  expect(choicesOf([said('Hel'), said('lo'), done()])).toEqual([
    { index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null },
    { index: 0, delta: { content: 'Hel' }, logprobs: null, finish_reason: null },
    { index: 0, delta: { content: 'lo' }, logprobs: null, finish_reason: null },
    { index: 0, delta: {}, finish_reason: 'stop' },
  ])
})

test('all chunks of a stream have the same head', () => {
  const chunks = dataFrames(
    run([said('a'), line({ ...head, created_at: '2026-01-01T00:00:09Z', message: { content: 'b' } }), done()]).frames,
  )

  const heads = new Set(
    chunks.map(({ text }) => JSON.stringify({ ...JSON.parse(text.slice(6)), choices: 0, usage: 0 })),
  )
  expect(heads.size).toBe(1)
  expect(chunks[0]?.chunk).toMatchObject({
    id: expect.stringMatching(/^chatcmpl-[0-9a-f]{24}$/),
    object: 'chat.completion.chunk',
    created: 1767225600,
    model: 'llama3.1',
  })
})

test('the tokens of a stream are counted', () => {
  const last = dataFrames(run([said('a'), done()]).frames).at(-1)

  expect(last?.usage).toEqual({ input: 10, cacheRead: 0, cacheWrite: 0, output: 4, reasoning: 0, estimated: false })
  expect(last?.chunk.usage).toEqual({ prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 })
})

test.each<[Json, DataFrame['kind'][]]>([
  [{ prompt_eval_count: undefined }, ['start', 'delta', 'finish', 'usage']],
  [{ prompt_eval_count: undefined, eval_count: undefined }, ['start', 'delta', 'finish']],
])('counts that are left out: %j', (more, kinds) => {
  expect(run([said('a'), done(more)]).frames.map(frame => frame.kind)).toEqual(kinds)
})

test.each<[Json, string]>([
  [{ done_reason: 'stop' }, 'stop'],
  [{ done_reason: 'length' }, 'length'],
  [{ done_reason: 'load' }, 'stop'],
  [{ done_reason: 'unload' }, 'stop'],
  [{ done_reason: undefined }, 'stop'],
])('%j ends with %s', (more, reason) => {
  expect(choicesOf([said('a'), done(more)]).at(-1)?.finish_reason).toBe(reason)
})

describe('thinking', () => {
  test('is passed on as reasoning_content', () => {
    const choices = choicesOf([said('', { thinking: 'hm' }), said('a'), done()])

    expect(choices.map(choice => choice.delta)).toEqual([
      { role: 'assistant', content: '' },
      { reasoning_content: 'hm' },
      { content: 'a' },
      {},
    ])
  })

  test('together with content stays together', () => {
    expect(choicesOf([said('a', { thinking: 'hm' }), done()])[1]?.delta).toEqual({
      reasoning_content: 'hm',
      content: 'a',
    })
  })
})

describe('tool calls', () => {
  test.each<[string, readonly Json[]]>([
    ['of 2024, without id and index', [tool('f'), tool('g')]],
    ['of 2025, without the index 0', [tool('f'), { function: { name: 'g', arguments: {}, index: 1 } }]],
    ['of 2026', [tool('f', { id: 'call_a' }), { id: 'call_b', function: { name: 'g', arguments: {}, index: 1 } }]],
    [
      'that all say index 0',
      [{ function: { name: 'f', arguments: {}, index: 0 } }, { function: { name: 'g', arguments: {}, index: 0 } }],
    ],
  ])('%s, a line each', (_, calls) => {
    const lines = [...calls.map(each => said('', { tool_calls: [each] })), done()]

    const { frames } = run(lines)

    expect(strictProblems(textsOf(frames))).toEqual([])
    expect(choicesOf(lines).at(-1)?.finish_reason).toBe('tool_calls')
    expect(frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'delta', 'finish', 'usage'])
  })

  test('carry their arguments as text', () => {
    expect(choicesOf([said('', { tool_calls: [tool('f', { id: 'call_a' })] }), done()])[1]?.delta).toEqual({
      tool_calls: [{ index: 0, id: 'call_a', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }],
    })
  })

  test('are read when several stand in one line', () => {
    const { frames } = run([said('', { tool_calls: [tool('f'), tool('g')] }), done()])

    expect(strictProblems(textsOf(frames))).toEqual([])
  })

  test('cut off by the length end with that', () => {
    expect(
      choicesOf([said('', { tool_calls: [tool('f')] }), done({ done_reason: 'length' })]).at(-1)?.finish_reason,
    ).toBe('length')
  })
})

test('log probabilities are passed on with their text', () => {
  const logprobs = [{ token: 'a', logprob: -0.1, top_logprobs: [] }]

  expect(choicesOf([line({ message: { content: 'a' }, logprobs }), done()])[1]?.logprobs).toEqual({
    content: logprobs,
    refusal: null,
  })
})

test('those of tokens that no text has come of yet come with the next piece, or with the end', () => {
  const of = (...tokens: readonly string[]) => tokens.map(token => ({ token, logprob: -0.1, top_logprobs: [] }))
  const silent = (token: string) => line({ message: { content: '' }, logprobs: of(token) })
  const called = said('', { tool_calls: [tool('f')] })
  const frames = choicesOf([silent('<tool'), silent('>'), called, silent('</tool'), done({ logprobs: of('>') })])

  expect(frames.map(choice => choice.logprobs)).toEqual([
    undefined,
    { content: of('<tool', '>'), refusal: null },
    { content: of('</tool', '>'), refusal: null },
  ])
})

test('more than any call of a tool has is left out, but never those of a text', () => {
  const of = (token: string) => [{ token, logprob: -0.1, top_logprobs: [] }]
  const silent = Array.from({ length: 5000 }, () => line({ message: { content: '' }, logprobs: of('x') }))
  const frames = choicesOf([...silent, line({ message: { content: 'a' }, logprobs: of('a') }), done()])
  const said = frames[1]?.logprobs as { content: readonly Json[] }

  expect(said.content.length).toBeLessThan(5000)
  expect(said.content.at(-1)).toEqual(of('a')[0])
})

describe('a completion', () => {
  const text = (response: string, more: Json = {}) => line({ response, ...more })
  const asked: Partial<Call> = { endpoint: 'completions' }

  test('is passed on as chunks of text', () => {
    const { frames } = run(
      [text('a'), text('b'), text('', { done: true, done_reason: 'length', context: [1], ...counts })],
      asked,
    )

    expect(frames.map(frame => frame.kind)).toEqual(['delta', 'delta', 'finish', 'usage'])
    expect(strictProblems(textsOf(frames), { completions: true })).toEqual([])
    expect(contentOf(frames)).toBe('ab')
    expect(dataFrames(frames)[0]?.chunk).toMatchObject({
      id: expect.stringMatching(/^cmpl-/),
      object: 'text_completion',
    })
  })

  test('passes its thinking on as well', () => {
    expect(choicesOf([text('', { thinking: 'hm' }), text('a', { done: true })], asked)).toEqual([
      { index: 0, text: '', reasoning_content: 'hm', logprobs: null, finish_reason: null },
      { index: 0, text: 'a', logprobs: null, finish_reason: null },
      { index: 0, text: '', finish_reason: 'stop' },
    ])
  })
})

describe('an error line', () => {
  test.each<[Json | string, string]>([
    [{ error: 'model runner has unexpectedly stopped' }, 'upstream_error'],
    [{ error: 'the input length exceeds the context length', status: 400 }, 'context_length_exceeded'],
    [{ error: { message: 'm' } }, 'upstream_error'],
  ])('%j ends the stream with %s', (body, code) => {
    const { frames } = run([said('a'), `${JSON.stringify(body)}\n`, done()])

    expect(frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'error'])
    expect(frames.at(-1)).toMatchObject({ error: { code } })
  })

  test.each(['<html>', '{"model":', 'null', '[]'])('is not %s, which is skipped', garbage => {
    const { frames, skipped } = run([said('a'), `${garbage}\n`, done()])

    expect(skipped).toBe(1)
    expect(frames.map(frame => frame.kind)).toEqual(['start', 'delta', 'finish', 'usage'])
  })
})

test('an answer that breaks off has no finish', () => {
  expect(run([said('a')]).frames.map(frame => frame.kind)).toEqual(['start', 'delta'])
})

test('a last line without its end counts', () => {
  expect(run([said('a'), done().trimEnd()]).frames.map(frame => frame.kind)).toEqual([
    'start',
    'delta',
    'finish',
    'usage',
  ])
})

test('what is said does not depend on the split', () => {
  const body = [said('é', { thinking: '🤔' }), said('語🌍'), said('', { tool_calls: [tool('f')] }), done()].join('')
  const whole = resultOf(replay(ollama, call(), body))

  for (const split of splitsOf(body)) expect(resultOf(replay(ollama, call(), body, split))).toBe(whole)
  expect(resultOf(replay(ollama, call(), body, 'every-byte'))).toBe(whole)
})

test('whatever is said, a strict client is pleased and no text is lost', () => {
  const message = fc.record(
    {
      content: fc.string({ unit: 'binary', maxLength: 5 }),
      thinking: fc.string({ maxLength: 5 }),
      tool_calls: fc.array(
        fc.record({
          id: fc.constantFrom(undefined, ''),
          function: fc.record({ name: fc.constant('f'), arguments: fc.dictionary(fc.string(), fc.nat()) }),
        }),
        { maxLength: 2 },
      ),
    },
    { requiredKeys: ['content'] },
  )
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), messages => {
      const { frames, skipped } = run([...messages.map(each => line({ message: each })), done()])

      expect(skipped).toBe(0)
      expect(strictProblems(textsOf(frames))).toEqual([])
      expect(contentOf(frames)).toBe(messages.map(each => each.content).join(''))
    }),
  )
})
