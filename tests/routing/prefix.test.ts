import { describe, expect, test } from 'bun:test'
import type { Call } from '#core/call.ts'
import { prefixKey } from '#routing/prefix.ts'
import { call } from '#tests/support/calls.ts'

const keyOf = (body: Call['body'], more: Partial<Call> = {}) => prefixKey(call({ body, ...more }))
const system = { role: 'system', content: 'You are a clerk.' }
const user = (content: Call['body'][string]) => ({ role: 'user', content })
const chat = (...messages: readonly object[]) => keyOf({ messages } as Call['body'])

describe('the key of a prompt', () => {
  test('goes by all messages up to the first of the user, and by none after it', () => {
    const first = chat(system, user('Hi'))

    expect(chat(system, user('Hi'), { role: 'assistant', content: 'Hello' }, user('More'))).toBe(first)
    expect(chat(system, user('Bye'))).not.toBe(first)
    expect(chat({ ...system, content: 'You are a cook.' }, user('Hi'))).not.toBe(first)
    expect(chat(user('Hi'))).toBe(chat(user('Hi'), system))
  })

  test('goes by texts and pictures of a message in parts', () => {
    const image = (url: string) => ({ type: 'image_url', image_url: { url } })
    const parts = (...content: readonly object[]) => chat(user(content as never))

    expect(parts({ type: 'text', text: 'Hi' })).toBe(chat(user('Hi')))
    expect(parts({ type: 'text', text: 'Hi' }, image('a.png'))).not.toBe(chat(user('Hi')))
    expect(parts(image('a.png'))).not.toBe(parts(image('b.png')))
  })

  test('goes by the beginning of a prompt without messages', () => {
    const [completions, long] = [{ endpoint: 'completions' } as const, 'x'.repeat(1023)]

    expect(keyOf({ prompt: 'one' }, completions)).not.toBe(keyOf({ prompt: 'two' }, completions))
    expect(keyOf({ prompt: `${long}ab` }, completions)).toBe(keyOf({ prompt: `${long}ac` }, completions))
    expect(keyOf({ prompt: `${long}b` }, completions)).not.toBe(keyOf({ prompt: `${long}c` }, completions))
  })

  test('goes by the first 4,096 characters of a message', () => {
    const long = 'x'.repeat(4095)

    expect(chat(user(`${long}ab`))).toBe(chat(user(`${long}ac`)))
    expect(chat(user(`${long}b`))).not.toBe(chat(user(`${long}c`)))
  })

  test('is none where no server remembers anything, and no matter for what is not of the form', () => {
    expect(keyOf({ prompt: ['a', 'b'] }, { endpoint: 'completions' })).toBeNull()
    expect(keyOf({ input: 'a', messages: [user('a')] }, { endpoint: 'embeddings' })).toBeNull()
    expect(keyOf({ messages: 'a' })).toBeNull()
    expect(chat('a' as never, user('Hi'))).toBe(chat(user('Hi')))
    expect(chat(user(['a', { type: 'text', text: 'Hi' }] as never))).toBe(chat(user('Hi')))
    expect(typeof chat(user(null))).toBe('number')
  })
})
