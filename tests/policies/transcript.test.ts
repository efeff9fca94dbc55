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

test('a long answer whose events went past the frames fills no memory either', () => {
  const transcript = createTranscript()
  transcript.note(frame('delta', 'a'))

  const said = { choice: 0, field: 'content', text: 'x'.repeat(50_000), bytes: Buffer.of(), events: 1, at: 0 } as const
  for (let n = 0; n < 6; n++) transcript.say(said)

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
