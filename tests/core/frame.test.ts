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

  test('is nothing where the text is none', () => {
    const chunk: Chunk = JSON.parse('{"choices":[{"text":{"length":"7"}},{"text":["a"]},{"text":null}]}')

    expect([contentLength(chunk), contentText(chunk)]).toEqual([0, ''])
  })
})
