import { describe, expect, test } from 'bun:test'
import { createRecurringHeaders } from '#http/recurring-headers.ts'

/** The headers of answers that are made one after the other, all read after the last. */
function inTurn(...answers: readonly Readonly<Record<string, string>>[]): Record<string, string>[] {
  const headersOf = createRecurringHeaders()
  const responses = answers.map(headers => new Response('text', { headers: headersOf(headers) }))
  return responses.map(response => Object.fromEntries(response.headers))
}

describe('headers of answers in a row', () => {
  test('are those of each answer', () => {
    const answers: Record<string, string>[] = [
      { 'x-request-id': 'a', 'content-type': 'application/json' },
      { 'x-request-id': 'b', 'content-type': 'application/json' },
      { 'x-request-id': 'b', 'content-type': 'text/plain' },
      { 'x-request-id': 'a', 'content-type': 'text/plain' },
    ]

    expect(inTurn(...answers)).toEqual(answers)
  })

  test('may be more, fewer, others and in another order', () => {
    const answers: Record<string, string>[] = [
      { 'content-type': 'application/json', 'x-request-id': 'a' },
      { 'content-type': 'application/json', 'x-request-id': 'b', 'retry-after': '1' },
      { 'content-type': 'application/json', 'x-request-id': 'c', vary: 'Origin' },
      { 'content-type': 'application/json', vary: 'Origin', 'x-request-id': 'd' },
      { 'content-type': 'application/json' },
    ]

    expect(inTurn(...answers)).toEqual(answers)
  })

  test('may be one object that has changed meanwhile', () => {
    const headersOf = createRecurringHeaders()
    const headers = { 'content-type': 'application/json', 'x-request-id': 'a' }
    const first = new Response('text', { headers: headersOf(headers) })
    headers['x-request-id'] = 'b'

    expect(new Response('text', { headers: headersOf(headers) }).headers.get('x-request-id')).toBe('b')
    expect(first.headers.get('x-request-id')).toBe('a')
  })

  test('are not changed by what an answer gets later', () => {
    const headersOf = createRecurringHeaders()
    const headers = { 'content-type': 'application/json' }
    new Response('text', { headers: headersOf(headers) }).headers.set('connection', 'close')

    expect(new Response('text', { headers: headersOf(headers) }).headers.has('connection')).toBe(false)
  })

  test.each([
    ['the first', []],
    ['one like those before it', [{ 'x-request-id': 'a', 'x-citadel-model': 'one' }]],
  ])('are refused where a value is none, in %s, and those that follow are right', (_, before) => {
    const headersOf = createRecurringHeaders()
    for (const headers of before) headersOf(headers)

    expect(() => headersOf({ 'x-request-id': 'b', 'x-citadel-model': 'one\ntwo' })).toThrow(TypeError)
    const after = headersOf({ 'x-request-id': 'c', 'x-citadel-model': 'one' })
    expect(Object.fromEntries(after)).toEqual({ 'x-request-id': 'c', 'x-citadel-model': 'one' })
  })
})
