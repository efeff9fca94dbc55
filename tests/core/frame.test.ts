import { describe, expect, test } from 'bun:test'
import { type Chunk, contentLength, contentText } from '#core/frame.ts'

const ofChoice = (choice: object): Chunk => ({ choices: [choice] })

describe('what a chunk says', () => {
  test('is the text of a completion', () => {
    const chunk = ofChoice({ text: 'abc' })

    expect([contentLength(chunk), contentText(chunk)]).toEqual([3, 'abc'])
  })

  test('is counted once where a server writes it into the choice and into the delta', () => {
    const chunk = ofChoice({ text: 'abc', delta: { content: 'abc' } })

    expect([contentLength(chunk), contentText(chunk)]).toEqual([3, 'abc'])
  })

  test.each([
    ['a tool call', { tool_calls: [{ function: { name: 'f', arguments: 'abc' } }] }],
    ['a call of a custom tool', { tool_calls: [{ type: 'custom', custom: { name: 'f', input: 'abc' } }] }],
    ['a call in the older form', { function_call: { name: 'f', arguments: 'abc' } }],
  ])('counts what is given to %s', (_, said) => {
    expect([{ delta: said }, { message: said }].map(choice => contentLength(ofChoice(choice)))).toEqual([3, 3])
  })

  test('is nothing where the text is none', () => {
    const chunk: Chunk = JSON.parse('{"choices":[{"text":{"length":"7"}},{"text":["a"]},{"text":null}]}')

    expect([contentLength(chunk), contentText(chunk)]).toEqual([0, ''])
  })
})
