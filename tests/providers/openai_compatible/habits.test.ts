import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import { contentOf, dataFrames, replay, resultOf, textsOf } from '#tests/providers/replay.ts'
import { call } from '#tests/support/calls.ts'
import { seededSplits } from '#tests/support/splits.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

/** How some server streams: every habit was seen in the wild, here they come together in any combination. */
interface Habits {
  readonly words: readonly string[]
  readonly role: 'none' | 'alone' | 'with content' | 'everywhere' | 'empty'
  readonly finish: 'alone' | 'with content' | 'repeated' | 'only [DONE]'
  readonly usage: 'none' | 'own chunk' | 'with the finish' | 'everywhere' | 'x_groq' | 'before the finish'
  readonly nulls: boolean
  readonly done: boolean
  readonly comments: boolean
  readonly lineEnd: '\n' | '\r\n' | '\r'
  readonly tool: 'none' | 'whole' | 'pieces' | 'repeating' | 'bare'
}

const habits: fc.Arbitrary<Habits> = fc.record({
  words: fc.array(fc.string({ minLength: 1, maxLength: 8, unit: 'binary' }), { minLength: 1, maxLength: 5 }),
  role: fc.constantFrom('none', 'alone', 'with content', 'everywhere', 'empty'),
  finish: fc.constantFrom('alone', 'with content', 'repeated', 'only [DONE]'),
  usage: fc.constantFrom('none', 'own chunk', 'with the finish', 'everywhere', 'x_groq', 'before the finish'),
  nulls: fc.boolean(),
  done: fc.boolean(),
  comments: fc.boolean(),
  lineEnd: fc.constantFrom('\n', '\r\n', '\r'),
  tool: fc.constantFrom('none', 'whole', 'pieces', 'repeating', 'bare'),
})

const count = { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 }

const TOOLS: Readonly<Record<Habits['tool'], readonly object[]>> = {
  none: [],
  whole: [{ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } }],
  pieces: [
    { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } },
    { index: 0, function: { arguments: '{"x"' } },
    { index: 0, function: { arguments: ':1}' } },
  ],
  repeating: [
    { index: 0, id: '0', type: 'function', function: { name: 'f', arguments: '{"x"' } },
    { index: 0, id: '0', type: 'function', function: { name: null, arguments: ':1}' } },
  ],
  bare: [{ function: { name: 'f', arguments: '{"x":1}' } }, { function: { name: 'g', arguments: '{}' } }],
}

function streamOf(how: Habits): string {
  const events: string[] = []
  const role = how.role === 'empty' ? { role: '' } : how.role === 'everywhere' ? { role: 'assistant' } : {}
  const send = (delta: object, reason: string | null = null, more: object = {}) => {
    const usage = how.usage === 'everywhere' ? { usage: count } : how.nulls ? { usage: null } : {}
    const choices = [{ index: 0, delta: { ...role, ...delta }, logprobs: null, finish_reason: reason }]
    events.push(
      JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices, ...usage, ...more }),
    )
  }
  const own = () =>
    events.push(
      JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [], usage: count }),
    )
  if (how.role === 'alone') send({ role: 'assistant', content: '' })
  for (const [at, content] of how.words.entries()) {
    const last = at === how.words.length - 1 && how.finish === 'with content' && how.tool === 'none'
    send(at === 0 && how.role === 'with content' ? { role: 'assistant', content } : { content }, last ? 'stop' : null)
  }
  for (const tool of TOOLS[how.tool]) send({ content: null, tool_calls: [tool] })
  if (how.usage === 'before the finish') own()
  const atFinish =
    how.usage === 'with the finish'
      ? { usage: count }
      : how.usage === 'x_groq'
        ? { x_groq: { id: 'r', usage: count } }
        : {}
  if (how.finish !== 'only [DONE]') send({}, how.tool === 'none' ? 'stop' : 'tool_calls', atFinish)
  if (how.finish === 'repeated') send({ content: '' }, 'stop')
  if (how.usage === 'own chunk') own()
  if (how.done || how.finish === 'only [DONE]') events.push('[DONE]')
  const comment = how.comments ? `: PROCESSING${how.lineEnd}${how.lineEnd}` : ''
  return events.map(data => `${comment}data: ${data}${how.lineEnd}${how.lineEnd}`).join('')
}

test('whatever habits a server has, a strict client is pleased and no text is lost', () => {
  fc.assert(
    fc.property(habits, fc.boolean(), (how, wantsUsage) => {
      const { frames, skipped } = replay(openaiCompatible, call({ wantsUsage }), streamOf(how))

      expect(skipped).toBe(0)
      expect(strictProblems(textsOf(frames, wantsUsage), { usage: wantsUsage })).toEqual([])
      expect(contentOf(frames)).toBe(how.words.join(''))
    }),
    { numRuns: 500 },
  )
})

test('whatever habits a server has, it is counted once', () => {
  fc.assert(
    fc.property(habits, how => {
      const { frames } = replay(openaiCompatible, call(), streamOf(how))

      const counts = dataFrames(frames).filter(frame => frame.kind === 'usage')
      const counted =
        how.usage !== 'none' && !(how.finish === 'only [DONE]' && ['with the finish', 'x_groq'].includes(how.usage))
      expect(counts.map(frame => frame.usage)).toEqual(
        counted ? [{ input: 5, cacheRead: 0, cacheWrite: 0, output: 3, reasoning: 0, estimated: false }] : [],
      )
    }),
    { numRuns: 500 },
  )
})

test('whatever habits a server has, the split does not matter', () => {
  fc.assert(
    fc.property(habits, fc.nat(), (how, seed) => {
      const body = streamOf(how)
      const whole = resultOf(replay(openaiCompatible, call(), body))

      for (const split of seededSplits(body, 10, seed))
        expect(resultOf(replay(openaiCompatible, call(), body, split))).toBe(whole)
    }),
  )
})
