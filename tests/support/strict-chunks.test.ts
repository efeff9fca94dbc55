import { expect, test } from 'bun:test'
import { chatEvents } from '#tests/support/openai-upstream.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

type Json = Readonly<Record<string, unknown>>

const head = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm' }
const text = (value: object) => `data: ${JSON.stringify(value)}\n\n`
const choice = (delta: Json, finish_reason: string | null = null) =>
  text({ ...head, choices: [{ index: 0, delta, finish_reason }] })
const role = choice({ role: 'assistant', content: '' })
const finish = choice({}, 'stop')
const usage = text({ ...head, choices: [], usage: { prompt_tokens: 1 } })
const tool = (call: Json) => choice({ tool_calls: [call] })
const opening = { index: 0, id: 'call_1', type: 'function', function: { name: 'f', arguments: '' } }

test('finds nothing wrong with what OpenAI sends', () => {
  const events = chatEvents('m', {}, true).filter(event => typeof event === 'object')

  expect(strictProblems(events.map(text), { usage: true })).toEqual([])
})

test('finds nothing wrong with tool calls that come in pieces', () => {
  const pieces = [
    tool(opening),
    tool({ index: 0, function: { arguments: '{"a"' } }),
    tool({ index: 0, function: { arguments: ':1}' } }),
  ]

  expect(strictProblems([role, ...pieces, finish])).toEqual([])
})

test.each<[string, readonly string[]]>([
  ['no event of one object', [role, 'data: <html>\n\n', finish]],
  ['no event of one object', [role, 'data: {\n"a":1}\n\n', finish]],
  ['no choices', [role, text(head), finish]],
  ['has no id', [text({ ...head, id: undefined, choices: [] }), role, finish]],
  ['is an error', [role, text({ ...head, choices: [], error: { message: 'x' } }), finish]],
  ['has no role', [choice({ content: 'a' }), finish]],
  ['has the role user', [role, choice({ role: 'user' }), finish]],
  ['without a delta', [role, text({ ...head, choices: [{ index: 0 }] }), finish]],
  ['without an index', [role, text({ ...head, choices: [{ delta: {} }] }), finish]],
  ['finished 0 times', [role]],
  ['finished 2 times', [role, finish, finish]],
  ['a finish_reason that is none', [role, choice({}, '')]],
  ['content after the finish', [role, finish, choice({ content: 'a' })]],
  ['there was no choice', []],
  ['without an id', [role, tool({ ...opening, id: '' }), finish]],
  ['without a type', [role, tool({ ...opening, type: undefined }), finish]],
  ['without a name', [role, tool({ ...opening, function: { arguments: '' } }), finish]],
  ['without arguments', [role, tool({ ...opening, function: { name: 'f' } }), finish]],
  ['tool call without an index', [role, tool({ ...opening, index: undefined }), finish]],
  ['opens tool call 1 instead of 0', [role, tool({ ...opening, index: 1 }), finish]],
  ['repeats the head', [role, tool(opening), tool(opening), finish]],
  ['twice', [role, tool(opening), tool({ ...opening, index: 1 }), finish]],
  ['arguments that are no JSON', [role, tool({ ...opening, function: { name: 'f', arguments: '{' } }), finish]],
  ['usage that nobody asked for', [role, text({ ...head, choices: [], usage: null }), finish]],
  ['usage beside choices', [role, text({ ...JSON.parse(finish.slice(6)), usage: { prompt_tokens: 1 } })]],
  ['usage in x_groq', [role, text({ ...JSON.parse(finish.slice(6)), x_groq: { usage: {} } })]],
  ['comes after the usage', [role, finish, usage, usage]],
])('notices: %s', (problem, events) => {
  expect(strictProblems(events).join('\n')).toContain(problem)
})

test('holds completions to their own rules', () => {
  const completion = (part: Json) => text({ ...head, choices: [{ index: 0, ...part }] })

  expect(strictProblems([completion({ text: 'a', finish_reason: 'stop' })], { completions: true })).toEqual([])
  expect(strictProblems([completion({ finish_reason: 'stop' })], { completions: true })).toHaveLength(1)
})
