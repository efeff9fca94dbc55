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
