import { expect, test } from 'bun:test'
import { createTranscript } from '#policies/transcript.ts'
import { frame } from '#tests/support/calls.ts'

const tokens = (count: number, token: string) => {
  const logprobs = { content: Array.from({ length: count }, () => ({ token, logprob: 0 })) }
  return { ...frame('delta'), chunk: { choices: [{ index: 0, delta: { content: '' }, logprobs }] } }
}

test.each([
  ['long', 300, 'x'.repeat(1000)],
  ['empty', 300_000, ''],
])('tokens without a text fill no memory: %s ones', (_, count, token) => {
  const transcript = createTranscript()

  transcript.note(tokens(10, 'a'))
  const before = transcript.comparable
  transcript.note(tokens(count, token))

  expect([before, transcript.comparable, transcript.choices.size]).toEqual([true, false, 0])
})

const said = (text: string) => ({ choice: 0, field: 'content', text, written: '', events: 1, at: 0 }) as const

test('what went past the frames is counted at once, and stands in its place', () => {
  const transcript = createTranscript()
  transcript.note(frame('delta', 'One '))

  transcript.say(said('two '))
  const before = transcript.characters
  transcript.note(frame('delta', 'three'))

  expect([before, transcript.characters]).toEqual([8, 13])
  expect(transcript.choices.get(0)?.texts.get('content')).toBe('One two three')
})

test('what went past the frames is put down to the choice and the field that said it', () => {
  const transcript = createTranscript()

  transcript.say({ ...said('Let me think. '), field: 'reasoning' })
  transcript.say(said('One '))
  transcript.say({ ...said('Two'), choice: 1 })
  transcript.say(said('more'))

  expect([...transcript.choices].map(([index, { texts }]) => [index, ...texts])).toEqual([
    [0, ['reasoning_content', 'Let me think. '], ['content', 'One more']],
    [1, ['content', 'Two']],
  ])
})

test('a long answer whose events went past the frames fills no memory either', () => {
  const transcript = createTranscript()
  transcript.note(frame('delta', 'a'))

  for (let n = 0; n < 20; n++) transcript.say(said('x'.repeat(50_000)))

  expect(transcript.characters).toBeLessThan(400_000)
  expect([transcript.comparable, transcript.choices.size]).toEqual([false, 0])
})

test('all that a chunk brings beside its text is remembered: its end, its tokens and other choices', () => {
  const transcript = createTranscript()
  const choice = (index: number, content: string, more: object = {}) => ({ index, delta: { content }, ...more })
  const logprobs = { content: [{ token: 'Two' }] }

  for (const choices of [
    [choice(0, 'One '), choice(1, 'Three ')],
    [choice(0, 'Two', { logprobs })],
    [choice(0, '.', { finish_reason: 'stop' })],
    [choice(0, ''), choice(1, 'Four', { finish_reason: 'stop' })],
  ])
    transcript.note({ ...frame('delta'), chunk: { choices } })

  expect([...transcript.choices]).toEqual([
    [0, { texts: new Map([['content', 'One Two.']]), tokens: ['Two'], finished: true }],
    [1, { texts: new Map([['content', 'Three Four']]), tokens: [], finished: true }],
  ])
})
