import { describe, expect, test } from 'bun:test'
import type { Chunk, DataFrame } from '#core/frame.ts'
import { writeSse } from '#lib/sse.ts'
import { createSplice, isWhole, stepSplice } from '#policies/splice.ts'
import { createTranscript } from '#policies/transcript.ts'

interface Said {
  readonly delta: object
  readonly tokens?: readonly string[]
  readonly end?: string
}

function frameOf({ delta, tokens, end = '' }: Said): DataFrame {
  const logprobs = tokens === undefined ? null : { content: tokens.map(token => ({ token })), refusal: null }
  const choice = { index: 0, delta, logprobs, finish_reason: end === '' ? null : end }
  const chunk: Chunk = { id: 'again', choices: [choice] }
  return { kind: end === '' ? 'delta' : 'finish', chunk, text: writeSse(JSON.stringify(chunk)), usage: null }
}

/** What of one more chunk goes to a caller who has been given these. */
function rest(delivered: readonly Said[], again: Said) {
  const transcript = createTranscript()
  for (const each of delivered) transcript.note(frameOf(each))
  const result = stepSplice(createSplice(transcript), frameOf(again))
  if (result === 'differs') return result
  const [frame] = result[1]
  const [choice] = frame?.chunk.choices ?? []
  const { delta, finish_reason: end } = choice ?? {}
  return { delta: delta && JSON.parse(JSON.stringify(delta)), end, kind: frame?.kind, whole: isWhole(result[0]) }
}

const content = (text: string) => ({ content: text })
const tool = (index: number, name: string, text: string) => ({ index, function: { name, arguments: text } })

describe('a chunk of a stream that starts again', () => {
  test('goes on with its end alone when its text was delivered', () => {
    const finished = rest([{ delta: content('One') }], { delta: content('One'), end: 'stop' })

    expect(finished).toEqual({ delta: {}, end: 'stop', kind: 'finish', whole: true })
  })

  test('brings its end together with what is new', () => {
    const finished = rest([{ delta: content('One') }], { delta: content('One more'), end: 'length' })

    expect(finished).toEqual({ delta: content(' more'), end: 'length', kind: 'finish', whole: true })
  })

  test('goes on with a thought that its server knows by another name', () => {
    const thought = rest([{ delta: { reasoning: 'Let me' } }], { delta: { reasoning_content: 'Let me think' } })
    const both = { reasoning: 'Let me think', reasoning_content: 'Let me think' }

    expect(thought).toMatchObject({ delta: { reasoning_content: ' think' } })
    expect(rest([{ delta: { reasoning_content: 'Let me' } }], { delta: both })).toMatchObject({
      delta: { reasoning: ' think', reasoning_content: ' think' },
    })
  })

  test('does not go on while it only repeats', () => {
    expect(rest([{ delta: content('One two') }], { delta: content('One') })).toMatchObject({ kind: undefined })
    expect(rest([{ delta: content('One') }], { delta: content('One') })).toMatchObject({ kind: undefined })
  })

  test('does not go on when all of it was delivered, its end too', () => {
    const delivered = [{ delta: content('One') }, { delta: {}, end: 'stop' }]

    expect(rest(delivered, { delta: content('One'), end: 'stop' })).toMatchObject({ kind: undefined, whole: true })
    expect(rest(delivered, { delta: content('One') })).toMatchObject({ kind: undefined, whole: false })
  })

  test('does not bring an end again, nor anything behind one, once all was repeated', () => {
    const ended = [{ delta: {}, end: 'stop' }]

    expect(rest(ended, { delta: {}, end: 'stop' })).toMatchObject({ kind: undefined, whole: true })
    expect(rest(ended, { delta: content('One') })).toBe('differs')
    expect(rest(ended, { delta: { audio: { data: 'AA' } } })).toBe('differs')
  })

  test('brings an end that comes with the role alone', () => {
    const finished = rest([{ delta: { role: 'assistant' } }], { delta: { role: 'assistant' }, end: 'stop' })

    expect(finished).toEqual({ delta: {}, end: 'stop', kind: 'finish', whole: true })
  })

  test('goes on with whatever is new once all was repeated, also with what cannot be compared', () => {
    const sound = { audio: { data: 'AA' } }

    expect(rest([{ delta: { role: 'assistant' } }], { delta: sound })).toMatchObject({ delta: sound })
    expect(rest([{ delta: { role: 'assistant' } }], { delta: content('One'), tokens: ['One'] })).toMatchObject({
      delta: content('One'),
    })
  })

  test('brings log probabilities only where they begin with the text', () => {
    const thought = [{ delta: { reasoning_content: 'Let me' } }]
    const answer = { delta: { reasoning_content: 'Let me', content: 'Hi' }, tokens: ['Hi'] }

    expect(rest(thought, answer)).toMatchObject({ delta: content('Hi') })
    expect(rest([{ delta: content('One') }], { delta: content('One'), tokens: ['One'] })).toBe('differs')
  })

  test('brings another tool call together with the rest of one', () => {
    const delivered = [{ delta: { tool_calls: [tool(0, 'f', '{"a"')] } }]
    const both = { tool_calls: [tool(0, 'f', '{"a":1}'), tool(1, 'g', '{}')] }

    expect(rest(delivered, { delta: both })).toMatchObject({
      delta: { tool_calls: [{ index: 0, function: { arguments: ':1}' } }, tool(1, 'g', '{}')] },
    })
  })

  test.each([
    {
      why: 'ends too soon',
      delivered: [{ delta: content('One two') }],
      again: { delta: content('One'), end: 'stop' },
    },
    {
      why: 'says something else before all was repeated',
      delivered: [{ delta: { reasoning_content: 'Let me think' } }],
      again: { delta: { reasoning_content: 'Let me', content: 'Hi' } },
    },
    {
      why: 'begins a tool call before all was repeated',
      delivered: [{ delta: content('One two') }],
      again: { delta: { ...content('One'), tool_calls: [tool(0, 'f', '')] } },
    },
    {
      why: 'carries what cannot be compared',
      delivered: [{ delta: content('One two') }],
      again: { delta: { ...content('One'), audio: { data: 'AA' } } },
    },
    {
      why: 'is made of other tokens',
      delivered: [{ delta: content('Hello'), tokens: ['Hel', 'lo'] }],
      again: { delta: content('Hello'), tokens: ['He', 'llo'] },
    },
  ])('counts as different when it $why', ({ delivered, again }) => {
    expect(rest(delivered, again)).toBe('differs')
  })
})
